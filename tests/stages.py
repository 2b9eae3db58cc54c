"""A trainer that reports when its stages begin and end, to time them or to watch their operations."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import attrs
import torch
from torch import Tensor

from recipe.compiler.program import Program
from recipe.data.images import Sets
from recipe.devices.precision import Precision
from recipe.plugins.contexts import Teach
from recipe.plugins.progress import Progress
from recipe.training.average import Average
from recipe.training.meters import Guard, Meter
from recipe.training.trainer import Trainer
from recipe.training.update import Update

Enter = Callable[[str], AbstractContextManager[Any]]
"""Takes the name of a stage and returns a context manager that is active during the stage."""

STAGES = ("prepare", "resize", "forward", "loss", "backward", "metrics", "perturb", "guard", "adjust", "optimizer",
          "average", "rest")  # fmt: skip
"""In the order of a step. Loss and forward are within backward, and the rest is everything outside the others."""


def during(enter: Enter, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that runs as a stage."""

    def staged(*arguments: Any, **named: Any) -> Any:
        with enter(stage):
            return function(*arguments, **named)

    return staged


@attrs.define(eq=False, slots=False)
class Staged(Trainer):
    """A trainer that reports its stages."""

    enter: Enter = attrs.field(kw_only=True)

    def __attrs_post_init__(self) -> None:
        self.prepare = during(self.enter, "prepare", self.prepare)  # type: ignore[assignment]
        self.parallel = during(self.enter, "forward", self.parallel)
        self.loss_of = during(self.enter, "loss", self.loss_of)
        self.update.optimizer.step = during(self.enter, "optimizer", self.update.optimizer.step)  # type: ignore[method-assign]
        guard = recast(self.update.guard, StagedGuard, enter=self.enter)
        self.update = recast(self.update, StagedUpdate, enter=self.enter, guard=guard)
        if self.average is not None:
            self.average = recast(self.average, StagedAverage, enter=self.enter)

    def sized(self, inputs: Tensor, progress: Progress) -> Tensor:
        with self.enter("resize"):
            return super().sized(inputs, progress)

    def _backward(self, *arguments: Any) -> Tensor:
        with self.enter("backward"):
            return super()._backward(*arguments)

    def train_step(self, batch: Any, meter: Meter) -> float:
        with self.enter("rest"):
            return super().train_step(batch, recast(meter, StagedMeter, enter=self.enter))


@attrs.define(eq=False, slots=False)
class StagedUpdate(Update):
    enter: Enter = attrs.field(kw_only=True)

    def perturbations(self, progress: Progress) -> list[Tensor] | None:
        with self.enter("perturb"):
            return super().perturbations(progress)

    def _adjust(self, step: int, loss: Tensor, progress: Progress) -> None:
        with self.enter("adjust"):
            super()._adjust(step, loss, progress)


@attrs.define(eq=False, slots=False)
class StagedGuard(Guard):
    enter: Enter = attrs.field(kw_only=True)

    def look(self, *arguments: Any, **named: Any) -> None:
        with self.enter("guard"):
            super().look(*arguments, **named)


@attrs.frozen(eq=False, slots=False)
class StagedAverage(Average):
    enter: Enter = attrs.field(kw_only=True)

    def update(self, progress: Progress) -> None:
        with self.enter("average"):
            super().update(progress)


@attrs.define(eq=False, slots=False)
class StagedMeter:
    """A wrapper around a meter that reports its stage."""

    meter: Meter
    enter: Enter

    def add(self, *arguments: Tensor) -> None:
        with self.enter("metrics"):
            self.meter.add(*arguments)


def recast(value: Any, kind: type[Any], **more: Any) -> Any:
    """Convert a value to a subclass of its type, with additional fields, or wrap it in another class."""
    if not issubclass(kind, type(value)):
        return kind(value, **more)
    fields = {field.name: getattr(value, field.name) for field in attrs.fields(type(value)) if field.init}
    return kind(**{name.lstrip("_"): one for name, one in (fields | more).items()})


def staged(
    program: Program, sets: Sets, device: torch.device, chosen: Precision, teach: Teach, enter: Enter
) -> Trainer:
    """Return the trainer of a run, with stages."""
    trainer: Trainer = recast(Trainer.make(program, sets, device, chosen, teach), Staged, enter=enter)
    return trainer
