"""Compute the running statistics of batch normalization anew, from training images that pass through the model."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from recipe.inference.batches import Batch
from recipe.inference.layout import laid_out
from recipe.training.runtime import set_seed, step_seed
from recipe.training.trainer import Trainer


@torch.no_grad()
def renew(trainer: Trainer, stop: Callable[[], bool]) -> None:
    """Compute the statistics of the evaluated model from the images of the last steps, if the plan asks for it.

    Layers that were frozen in the last step keep theirs. If ``stop`` returns True meanwhile, all layers do. The result
    depends on the weights and the step, but not on the statistics before, so it may be computed again.
    """
    training, model, ranks = trainer.plan.training, trainer.eval_model, trainer.ranks
    if training.statistics_images is None or trainer.step == 0:
        return
    model.train()
    for layer in trainer.freezing.at(trainer.progress_at(trainer.step - 1)).layers(model):
        layer.training = False
    if not (norms := _tracking(model)):
        return
    before = [value.clone() for value in _statistics(norms)]
    steps = min(math.ceil(training.statistics_images / training.batch), trainer.steps_per_epoch, trainer.step)
    images, total, stopped = 0, 0, False
    with _averaging(norms):
        for batch in trainer.batches_of(range(trainer.step - steps, trainer.step)):
            if batch.counted or training.synchronised:
                _pass(trainer, batch)
            images, total = images + len(batch.indices) * batch.counted, total + batch.total
            if not training.synchronised and (stopped := stop()):  # synchronized layers wait for the other processes
                break
    if not training.synchronised:
        ranks.average_(_statistics(norms), images / total)
    if any(ranks.gather(stopped)):
        torch._foreach_copy_(_statistics(norms), before)


def _pass(trainer: Trainer, batch: Batch) -> None:
    """Let a training batch pass through the evaluated model as in its step."""
    training = trainer.plan.training
    inputs, targets = trainer.prepare(batch)
    inputs = laid_out(trainer.sized(inputs, trainer.progress_at(batch.step)), training)
    set_seed(step_seed(training.seed, batch.step, trainer.ranks.rank), trainer.device)
    for x, _ in trainer.runtime.parts(inputs, targets, trainer.micro, trainer.even(batch.total)):
        with trainer.precision.autocast():
            trainer.eval_model(x)


def _tracking(model: nn.Module) -> list[_BatchNorm]:
    """Return the batch normalization in training mode that has running statistics."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return [norm for norm in norms if norm.training and norm.running_mean is not None]


def _statistics(norms: Sequence[_BatchNorm]) -> list[Tensor]:
    values = [value for norm in norms for value in (norm.running_mean, norm.running_var)]
    return [value for value in values if value is not None]


@contextlib.contextmanager
def _averaging(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """A context in which running statistics become the mean of those of all batches that pass.

    The variance of a batch is unbiased, so the mean of them is too. The counts of batches don't change.
    """
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = None  # torch's name for a plain mean
        norm.num_batches_tracked = (
            None if norm.num_batches_tracked is None else torch.zeros_like(norm.num_batches_tracked)
        )
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
