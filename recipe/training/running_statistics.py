"""Compute the running statistics of batch normalization anew, from training images that pass through the model."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
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
    synchronized = training.synchronised and ranks.several
    steps = min(math.ceil(training.statistics_images / training.batch), trainer.steps_per_epoch, trainer.step)
    images, total, stopped = 0, 0, False
    with _measuring(norms, ranks.world if synchronized else 1) as found:
        for batch in trainer.batches_of(range(trainer.step - steps, trainer.step)):
            if batch.counted or synchronized:
                _pass(trainer, batch)
            images, total = images + len(batch.indices) * batch.counted, total + batch.total
            if not synchronized and (stopped := stop()):  # synchronized layers wait for the other processes
                break
    if any(ranks.gather(stopped)):
        return
    own, seen = [one.mean for one in found], [one.mean.clone() for one in found]
    spread = [one.variance for one in found]
    if not synchronized:
        part = images / total
        ranks.average_(own, part)
        torch._foreach_add_(spread, [(mine - all_).square() for mine, all_ in zip(seen, own, strict=True)])
        ranks.average_(spread, part)
    for norm, mean, variance in zip(norms, own, spread, strict=True):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


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


@attrs.define(eq=False)
class _Statistics:
    """The mean and variance of all values of each channel that a layer has normalized."""

    mean: Tensor
    squares: Tensor
    """The sum of the squared deviations from the mean."""
    processes: int
    """Those whose values the layer normalizes together, in equal shares."""
    values: float = 0.0
    """The number of values of each channel."""

    @property
    def variance(self) -> Tensor:
        return self.squares / max(1.0, self.values - 1)

    def add(self, norm: _BatchNorm, inputs: tuple[Tensor, ...], _: Any) -> None:
        """Add a batch, whose own statistics the layer tracks. Chan et al. 1979: no squares of means are subtracted."""
        assert norm.running_mean is not None
        assert norm.running_var is not None
        values = inputs[0].numel() / inputs[0].shape[1] * self.processes
        total, off = self.values + values, norm.running_mean - self.mean
        self.squares += norm.running_var * (values - 1) + off.square() * (self.values * values / total)
        self.mean += off * (values / total)
        self.values = total


@contextlib.contextmanager
def _measuring(norms: Sequence[_BatchNorm], processes: int) -> Iterator[list[_Statistics]]:
    """A context in which the statistics of all that passes through layers are measured. The layers keep their own."""
    shapes = [torch.zeros_like(mean) for norm in norms if (mean := norm.running_mean) is not None]
    found = [_Statistics(zeros.clone(), zeros.clone(), processes) for zeros in shapes]
    before = [(norm.running_mean, norm.running_var, norm.num_batches_tracked, norm.momentum) for norm in norms]
    with contextlib.ExitStack() as hooks:
        for norm, one in zip(norms, found, strict=True):
            norm.running_mean, norm.running_var = torch.zeros_like(one.mean), torch.zeros_like(one.mean)
            norm.num_batches_tracked = None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone()
            norm.momentum = 1.0  # then the running statistics are those of the last batch
            hooks.callback(norm.register_forward_hook(one.add).remove)
        try:
            yield found
        finally:
            for norm, (mean, variance, count, momentum) in zip(norms, before, strict=True):
                norm.running_mean, norm.running_var, norm.num_batches_tracked = mean, variance, count
                norm.momentum = momentum
