"""Build the trainer of a run, with optional timing of its stages, and batches for it."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from recipe.compiler.lower import lower
from recipe.data.images import InMemory, Sets
from recipe.devices.precision import precision
from recipe.inference.batches import Batch
from recipe.language.recipe_input import override, source_from
from recipe.plan.bind import bind
from recipe.plan.plan import Plan
from recipe.plugins.vocabulary import Vocabulary
from recipe.training.meters import Meter
from recipe.training.teachers import teachers_of
from recipe.training.trainer import Trainer
from tests.benchmarks.clocks import Clock
from tests.stages import staged


def plan_of(text: str, *statements: str) -> Plan:
    return bind([source_from(text), *override(statements)], Vocabulary.installed())


def trainer_of(plan: Plan, sets: Sets, device: torch.device, clock: Clock | None = None) -> Trainer:
    """Return the trainer of a run, with teachers of random weights. ``clock`` times its stages."""
    program = lower(plan)
    teachers = teachers_of(plan, program.classes)
    teach = {one.plan.digest: taught(one.model, device) for _, one in teachers}
    chosen = precision(plan.training.precision, device)
    trainer = (
        Trainer.make(program, sets, device, chosen, teach)
        if clock is None
        else staged(program, sets, device, chosen, teach, clock)
    )
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
    """Return a batch of random pixels, as a run's loader returns it for a device, and its dataset."""
    pixels = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    images = InMemory(pixels, torch.arange(batch) % classes)
    made = Batch(images.pixels, images.labels, np.arange(batch), 0, 0, batch)
    return pinned(made, device), Sets(images, images, classes)


def pinned(batch: Batch, device: torch.device) -> Batch:
    """Return a batch in the memory that a run's loader uses, which is pinned for a GPU."""
    return batch.pin_memory() if device.type == "cuda" else batch


def stepping(trainer: Trainer, batch: Batch) -> Callable[[], object]:
    """Return a function that trains one more step on the same batch."""
    meter, device = Meter.on(trainer.device), trainer.device

    def step() -> None:
        given = attrs.evolve(batch, step=trainer.step)
        trainer.train_step(given if device.type == "cpu" else given.to(device), meter)

    return step
