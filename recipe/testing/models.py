"""Networks that are small enough to train within a test, and that have sites for the tricks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from recipe.graph.net import Net
from recipe.graph.shapes import propagate
from recipe.graph.trace import trace


class Block(nn.Module):
    """A bottleneck with a shortcut. ``first`` puts the stride in the first convolution, as in the original ResNet."""

    def __init__(self, inputs: int, outputs: int, stride: int, first: bool = False) -> None:
        super().__init__()
        strides = (stride, 1) if first else (1, stride)
        self.conv1, self.bn1 = nn.Conv2d(inputs, 4, 1, strides[0], bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, strides[1], 1, bias=False), nn.BatchNorm2d(4)
        self.conv3, self.bn3 = nn.Conv2d(4, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(out)))))
        return self.relu(out + self.downsample(x))  # type: ignore[no-any-return]


class Head(nn.Module):
    """One fully connected layer on top of the channel means, without convolutions, normalization or blocks."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]


class Small(nn.Module):
    """A residual network with a site for every tweak of the paper. ``first`` is as in `Block`, and removes dropout."""

    def __init__(self, classes: int, first: bool = False) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        self.layer1, self.layer2 = Block(8, 8, 1, first), Block(8, 16, 2, first)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(16, classes)
        self.drop = nn.Identity() if first else nn.Dropout(0.1)
        self.aux: Head | None = None

    def forward(self, x: Tensor) -> Any:
        middle = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
        logits = self.fc(self.drop(self.pool(self.layer2(middle)).flatten(1)))
        return (logits, self.aux(middle)) if self.aux and self.training else logits


class Aided(Small):
    """The same network with an auxiliary head that only runs in training."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.aux = Head(8, classes)


NETWORKS: Mapping[str, Callable[[int], nn.Module]] = {
    "small": Small,
    "first": lambda classes: Small(classes, first=True),
    "aided": Aided,
    "bare": lambda classes: Head(3, classes),
}
"""The networks by name."""


def network(name: str, classes: int = 10) -> nn.Module:
    """Return a network of `NETWORKS`, with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return NETWORKS[name](classes)


def small(classes: int = 10) -> nn.Module:
    """Return a two-block residual network with a site for every tweak of the paper, with the same weights each time."""
    return network("small", classes)


def traced(name: str, size: int) -> Net:
    """Return the `Net` view of a network of `NETWORKS`, on the meta device, for images of size × size."""
    graph = trace(network(name).to("meta"), name)
    propagate(graph, size, name)
    return Net(graph)
