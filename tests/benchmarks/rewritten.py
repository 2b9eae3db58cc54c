"""Compare the rewritten model with a hand-written one and timm's, in the same loop: (a) and (c)."""

from __future__ import annotations

import contextlib
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from recipe.compiler.lower import lower
from tests.benchmarks.clocks import ratio, seconds, speed, turns
from tests.benchmarks.settings import DEEP, SIZE, Settings
from tests.benchmarks.timed import plan_of


class Bottleneck(nn.Module):
    """A block of ResNet-50-D (He et al. 2019, section 4.2), written by hand."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Sequential()
        if inputs != 4 * width:
            pool = [nn.AvgPool2d(2, 2)] if stride == 2 else []
            self.downsample = nn.Sequential(
                *pool, nn.Conv2d(inputs, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += self.downsample(x)
        return self.relu(out)


def stem(width: int = 64) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((3, width // 2, 2), (width // 2, width // 2, 1), (width // 2, width, 1)):
        convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return [*layers, nn.MaxPool2d(3, 2, 1)]


def handwritten(width: int = 64, classes: int = 1000) -> nn.Module:
    """Return ResNet-50-D in plain PyTorch. ``width`` is the width of its first stage."""
    layers, inputs = stem(width), width
    for stage, depth in enumerate((3, 4, 6, 3)):
        for place in range(depth):
            layers.append(Bottleneck(inputs, width << stage, 2 if place == 0 and stage else 1))
            inputs = 4 * (width << stage)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def macs(model: nn.Module) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, 3, SIZE, SIZE))
    return counter.get_total_flops() // 2


def alike(ours: nn.Module, theirs: nn.Module) -> float:
    """Copy our weights into theirs, and return the largest difference of outputs. Shapes and MACs must be equal."""
    mine, yours = ours.state_dict(), theirs.state_dict()
    assert [one.shape for one in mine.values()] == [one.shape for one in yours.values()]
    assert macs(ours) == macs(theirs)
    theirs.load_state_dict(dict(zip(yours, mine.values(), strict=True)))
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        difference = float((ours.eval()(images) - theirs.eval()(images)).abs().max())
    assert difference < 1e-4, difference
    return difference


class Plain:
    """The shortest loop in plain PyTorch: a fixed batch, channels last, bf16."""

    def __init__(self, model: nn.Module, batch: int, device: torch.device) -> None:
        self.model = model.to(device=device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.images = torch.randn(batch, 3, SIZE, SIZE, device=device).to(memory_format=torch.channels_last)
        self.labels = torch.arange(batch, device=device)
        self.optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)

    def step(self) -> None:
        with torch.autocast(self.images.device.type, torch.bfloat16):
            loss = F.cross_entropy(self.model(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def rewritten(settings: Settings, device: torch.device) -> list[str]:
    """Compare the rewritten ResNet-50-D with a hand-written one and timm's, in the same loop."""
    ours = lower(plan_of(DEEP)).model
    others = {"hand-written": handwritten()}
    with contextlib.suppress(ImportError):
        import timm

        others["timm's `resnet50d`"] = timm.create_model("resnet50d")
    differences = [alike(ours, other) for other in others.values()]
    loops = {name: Plain(model, settings.batch, device) for name, model in {"rewritten": ours, **others}.items()}
    taken = turns(
        {name: partial(seconds, loop.step, settings.steps, device) for name, loop in loops.items()}, settings.rounds
    )
    lines = [
        "### Rewritten models",
        "",
        f"`{DEEP}` against a hand-written ResNet-50-D, in the same plain PyTorch loop: {SIZE} × {SIZE} pixels, batches "
        f"of {settings.batch}, bf16, channels last; {settings.rounds} rounds of {settings.steps} "
        f"step{'s' * (settings.steps > 1)}. Parameters ({sum(p.numel() for p in ours.parameters()):,}) and "
        f"MACs are the same. With the same weights, the outputs differ by at most {max(differences):.0e}.",
        "",
        "| | images per second | speed of the rewritten model relative to it, median | lowest to highest |",
        "|---|---|---|---|",
    ]
    for name, times in taken.items():
        lines.append(f"| {name} | {speed(settings.batch, times)} | {ratio(times, taken['rewritten'])} |")
    return lines
