"""Steps of a training that are tried out, for their time or their memory, before or in place of the training itself."""

from __future__ import annotations

import time
from collections.abc import Iterable

import torch
from torch import nn

from recipe.training.loading import Batch
from recipe.training.meters import Meter
from recipe.training.runtime import compiling
from recipe.training.tensors import laid_out, restored
from recipe.training.trainer import Trainer


def step_seconds(trainer: Trainer, batches: Iterable[Batch], meter: Meter) -> float | None:
    """Train on some batches: the seconds of a step, mean over them, loading included; None where there is no batch."""
    began, steps = time.perf_counter(), 0
    for batch in batches:
        trainer.train_step(batch, meter)
        steps += 1
    if not steps:
        return None
    meter.read(trainer.ranks)  # which waits for the device
    return (time.perf_counter() - began) / steps


def try_step(trainer: Trainer, images: int, model: nn.Module | None = None, side: int | None = None) -> None:
    """The forward and backward computation of some images of ``side`` pixels, all black, of which nothing is left."""
    model, classes = (model or trainer.model).train(), trainer.prepare.classes
    side = side or trainer.images.size
    try:
        with restored(lambda: [*model.buffers()]):
            _forward_and_backward(trainer, model, images, side, classes)
    finally:
        trainer.update.forget_gradients()


def _forward_and_backward(trainer: Trainer, model: nn.Module, images: int, side: int, classes: int) -> None:
    inputs = laid_out(torch.zeros(images, 3, side, side, device=trainer.device), trainer.plan.training)
    targets = torch.full((images, classes), 1 / classes, device=trainer.device)
    with compiling(), trainer.precision.autocast():
        outputs = model(inputs)
    loss, _ = trainer.loss_of(outputs, targets, inputs)
    with compiling():
        loss.backward()  # type: ignore[no-untyped-call]
