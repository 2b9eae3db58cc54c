"""Trainings that record each step, so that tests can repeat it manually."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import attrs
import torch
from torch import Tensor, nn

import recipe
from recipe.training.runtime import Runtime
from recipe.training.trainer import Trainer
from tests.durability.rank import norms

DATA = "data fake size=32 classes=10 images=24"


class MaxNorm(nn.Conv2d):
    """A convolution that bounds its weights by replacing their tensor."""

    def forward(self, x: Tensor) -> Tensor:
        self.weight.data = torch.renorm(self.weight.data, 2, 0, 0.5)
        return super().forward(x)


class OwnNorm(nn.BatchNorm2d):
    """A normalization that replaces its running mean, and keeps the last mean and a count as parameters."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.last = nn.Parameter(torch.zeros(channels), requires_grad=False)
        self.batches = nn.Parameter(torch.zeros(1, dtype=torch.long), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            mean = x.detach().mean((0, 2, 3))
            self.running_mean = 0.9 * self.running_mean + 0.1 * mean
            self.last = nn.Parameter(mean, requires_grad=False)
            self.batches = nn.Parameter(self.batches + 1, requires_grad=False)
        return nn.functional.batch_norm(x, None, None, self.weight, self.bias, True)


def replacing() -> nn.Module:
    """Return a network whose layers replace tensors during the forward pass."""
    torch.manual_seed(0)
    return nn.Sequential(MaxNorm(3, 8, 3, 2), OwnNorm(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(8, 10))  # fmt: skip


@attrs.frozen(eq=False)
class Steps:
    """The initial model of a training, the batch of each step, and the state after it."""

    start: nn.Module
    batches: list[tuple[Tensor, Tensor]]
    after: list[dict[str, Tensor]]


def steps(
    out: Path,
    text: str,
    model: nn.Module | None = None,
    seen: Callable[[Trainer], None] = id,
    runtime: Runtime | None = None,
) -> Steps:
    """Train a recipe and record its steps; call ``seen`` with the trainer after each step."""
    program = recipe.compile(f"{DATA}; {text}", base=model or norms())
    found = Steps(copy.deepcopy(program.model), [], [])
    step = Trainer.train_step

    def recorded(self: Trainer, batch: object, meter: object) -> float:
        found.batches.append(self.prepare(batch))
        rate = step(self, batch, meter)
        found.after.append(copy.deepcopy(self.model.state_dict()))
        seen(self)
        return rate

    with mock.patch.object(Trainer, "train_step", recorded):
        recipe.run(program, out=out, device="cpu", runtime=runtime)
    return found
