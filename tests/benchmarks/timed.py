"""A trainer as a run has it, whose parts a clock can time."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from recipe.bind import bind
from recipe.compiler import lower
from recipe.devices import precision
from recipe.images import InMemory, Sets
from recipe.inputs import override, source_from
from recipe.loading import Batch
from recipe.meters import Guard, Meter
from recipe.plan import Plan
from recipe.registry import Vocabulary
from recipe.teachers import teachers_of
from recipe.trainer import Trainer
from tests.benchmarks.clocks import Clock


@attrs.define(eq=False, slots=False)
class Timed(Trainer):
    """A trainer whose parts a clock can time."""

    clock: Clock = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.clock = Clock(self.device)
        self.prepare = self.clock.timing("prepare", self.prepare)  # type: ignore[assignment]
        self.forward = self.clock.timing("forward", self.forward)
        self.loss_of = self.clock.timing("loss and metrics", self.loss_of)
        update = self.update
        update.guard = TimedGuard(update.guard, self.clock)  # type: ignore[assignment]
        update.optimizer.step = self.clock.timing("optimizer", update.optimizer.step)  # type: ignore[method-assign]

    def _backward(self, *arguments: object) -> Tensor:
        with self.clock("backward"):
            return super()._backward(*arguments)  # type: ignore[arg-type]


@attrs.frozen(eq=False)
class TimedGuard:
    guard: Guard
    clock: Clock

    def look(self, *arguments: object, **named: object) -> None:
        with self.clock("guard"):
            self.guard.look(*arguments, **named)  # type: ignore[arg-type]

    @property
    def broken(self) -> Tensor:
        return self.guard.broken


@attrs.frozen(eq=False)
class TimedMeter:
    meter: Meter
    clock: Clock

    def add(self, *arguments: Tensor) -> None:
        with self.clock("loss and metrics"):
            self.meter.add(*arguments)


def plan_of(text: str, *statements: str) -> Plan:
    return bind([source_from(text), *override(statements)], Vocabulary.installed())


def trainer_of(plan: Plan, sets: Sets, device: torch.device, kind: type[Trainer] = Trainer) -> Trainer:
    """A trainer as a run has it, whose teachers have random weights."""
    program = lower(plan)
    teachers = teachers_of(plan, program.classes, Vocabulary.installed())
    teach = {one.plan.digest: taught(one.model, device) for _, one in teachers}
    trainer = kind.make(program, sets, device, precision(plan.training.precision, device), teach)
    trainer.model.train()
    return trainer


def taught(model: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    model = model.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @torch.no_grad()
    def teach(inputs: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return model(inputs).float()  # type: ignore[no-any-return]

    return teach


def made_up(batch: int, size: int, classes: int, device: torch.device) -> tuple[Batch, Sets]:
    """A batch of random pixels on a device, and the sets that it is of."""
    pixels = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    images = InMemory(pixels, torch.arange(batch) % classes)
    made = Batch(images.pixels, images.labels, np.arange(batch), 0, 0, batch).to(device)
    return made, Sets(images, images, classes)


def stepping(trainer: Trainer, batch: Batch) -> Callable[[], object]:
    """One training step after the other on the same batch."""
    meter = Meter.on(trainer.device)
    return lambda: trainer.train_step(attrs.evolve(batch, step=trainer.step), meter)
