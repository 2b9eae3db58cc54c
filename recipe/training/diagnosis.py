"""Why a training diverged: the trick that made the first values that are not finite."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor

from recipe.base.errors import RecipeError, fail
from recipe.inference.batches import Batch
from recipe.inference.layout import laid_out
from recipe.plugins.finite import NotFinite, are_finite, checking_values
from recipe.plugins.progress import Progress
from recipe.training.runtime import set_seed, step_seed
from recipe.training.trainer import Trainer


class NotFiniteInput(RecipeError):
    """A trick made inputs or targets that are not finite, so no learning rate would have helped."""


def cause_of_step(trainer: Trainer, step: int) -> RecipeError | None:
    """Repeat a step whose loss or gradients were not finite, and return the error of the trick that is the cause.

    Every process must call this. A step with a value that is not finite changes no weights, and neither does any later
    one, so the step starts from the same values. Returns `NotFiniteInput`, `NotFinite` if the values also depend on the
    weights, or None if the cause is not a trick.
    """
    own: RecipeError | None = None
    with contextlib.suppress(Exception):  # it already failed once, and that is what is reported
        try:
            with checking_values():
                _repeat(trainer, step)
        except (NotFinite, NotFiniteInput) as error:
            own = error
    return next((error for error in trainer.ranks.gather(own) if error), None)


def _repeat(trainer: Trainer, step: int) -> None:
    """Compute one step, apart from the update. It exchanges nothing with other processes, which may have failed."""
    batch = trainer.training_images()[step]
    if not isinstance(batch, Batch):
        return
    try:
        inputs, targets = trainer.prepare(batch.to(trainer.device))
    except NotFinite as error:
        raise NotFiniteInput(*error.diagnostics) from None
    if trainer.plan.training.synchronised and trainer.ranks.several:
        return
    progress = trainer.progress_at(step)
    inputs = laid_out(trainer.sized(inputs, progress), trainer.plan.training)
    trainer.update.forget_gradients()
    with trainer.holding(trainer.freezing.at(progress)):
        _compute(trainer, progress, batch, inputs, targets)
    trainer.update.perturbations(progress)
    with torch.no_grad():
        trainer.update.adjust(progress)


def _compute(trainer: Trainer, progress: Progress, batch: Batch, inputs: Tensor, targets: Tensor) -> None:
    """Compute the gradients of a step."""
    set_seed(step_seed(trainer.plan.training.seed, progress.step, trainer.ranks.rank), trainer.device)
    for x, y in trainer.runtime.parts(inputs, targets, trainer.micro, trainer.even(batch.total)):
        with trainer.precision.autocast():
            outputs = trainer.featured(x)
        loss, _ = trainer.loss_of(outputs, y, x, progress)
        (loss * (len(x) / len(inputs))).backward()  # type: ignore[no-untyped-call]


def cause_of_average(trainer: Trainer) -> RecipeError | None:
    """Return the error of the trick that averages the weights if only their average is not finite."""
    average = trainer.average
    if average is None:
        return None
    averaged, weights = ([*model.state_dict().values()] for model in (average.model, trainer.model))
    if are_finite(averaged) or not are_finite(weights):
        return None
    use = average.use
    message = f"the average by `{use.word}` from {use.declared.package} is not finite, although the weights are"
    return fail("E080", message, use.span)
