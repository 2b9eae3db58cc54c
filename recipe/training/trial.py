"""Trial steps that measure time or memory, before training or instead of it."""

from __future__ import annotations

import time
from collections.abc import Iterable

import torch
from torch import nn

from recipe.inference.batches import Batch
from recipe.inference.layout import laid_out
from recipe.training.meters import Meter
from recipe.training.runtime import compiling
from recipe.training.tensors import restored
from recipe.training.trainer import Trainer


def step_seconds(trainer: Trainer, batches: Iterable[Batch], meter: Meter) -> float | None:
    """Train on some batches, and return the mean seconds per step including loading, or None without batches."""
    began, steps = time.perf_counter(), 0
    for batch in batches:
        trainer.train_step(batch, meter)
        steps += 1
    if not steps:
        return None
    meter.read(trainer.ranks)  # waits for the device
    return (time.perf_counter() - began) / steps


def try_step(trainer: Trainer, images: int, model: nn.Module | None = None, side: int | None = None) -> None:
    """Run forward and backward passes on black images of ``side`` pixels, leaving the model unchanged."""
    trainer.model.train()
    model, classes = model or trainer.featured, trainer.prepare.classes
    side = side or trainer.images.size
    try:
        with restored(lambda: [*model.buffers()]), trainer.holding(trainer.freezing.throughout):
            _forward_and_backward(trainer, model, images, side, classes)
    finally:
        trainer.update.forget_gradients()


def _forward_and_backward(trainer: Trainer, model: nn.Module, images: int, side: int, classes: int) -> None:
    training = trainer.plan.training
    inputs = laid_out(torch.zeros(images, training.channels, side, side, device=trainer.device), training)
    targets = torch.full((images, classes), 1 / classes, device=trainer.device)
    with compiling(), trainer.precision.autocast():
        outputs = model(inputs)
    loss, _ = trainer.loss_of(outputs, targets, inputs)
    with compiling():
        loss.backward()  # type: ignore[no-untyped-call]
