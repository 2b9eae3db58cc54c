"""``batches``: what a trick says of a batch is the mean of what it says of the parts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from recipe.plugins.loss_context import LossContext
from recipe.plugins.trick import Trick
from recipe.testing import inputs
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.trick_under_test import TrickUnderTest
from recipe.training.objective import cross_entropy

COUNT, SIDE = 8, 32
TOLERANCE = 1e-4
"""Sums over batches of other sizes may be rounded otherwise."""


def batches(subject: TrickUnderTest) -> None:
    """A loss, or a term of it, is the mean over the batch; targets are softened row by row.

    A batch is computed in parts, and by several processes, whose gradients are averaged: a sum, or a value that images
    have in common only, would come to something else there.
    """
    hooks = [hook for hook in CALLS if subject.overrides(hook)]
    if not hooks:
        raise Skipped("it has no hook that judges or softens")
    use = subject.bench.plan(subject.within).find(subject.word)
    assert use is not None
    for hook in hooks:
        for mixed in (False, True):
            CALLS[hook](use.trick, inputs.targets(COUNT, mixed))


def _smooth_targets(trick: Trick, targets: Tensor) -> None:
    rows = torch.cat([trick.smooth_targets(targets[row : row + 1].clone()) for row in range(COUNT)])
    if not torch.allclose(trick.smooth_targets(targets.clone()), rows, atol=TOLERANCE):
        message = f"`smooth_targets` of `{trick.declared.word}` makes something else of targets alone than in a batch"
        raise Unmet(f"{message}; let what becomes of a row follow from it")


def _loss(trick: Trick, targets: Tensor) -> None:
    _mean(trick, "loss", lambda part: trick.loss(inputs.logits(COUNT)[part], targets[part]))


def _loss_term(trick: Trick, targets: Tensor) -> None:
    logits, images = inputs.logits(COUNT), inputs.images(COUNT, SIDE)

    def term(part: slice) -> Tensor:
        loss = cross_entropy(logits[part], targets[part])
        return trick.loss_term(LossContext(logits[part], targets[part], images[part], loss, inputs.TEACHERS))

    _mean(trick, "loss_term", term)


def _mean(trick: Trick, hook: str, value: Callable[[slice], Tensor]) -> None:
    """Compare the value of a batch with the mean of those of its halves."""
    whole = value(slice(None))
    halves = torch.stack([value(part).reshape(()) for part in (slice(0, COUNT // 2), slice(COUNT // 2, None))])
    if not torch.allclose(whole, halves.mean(), rtol=TOLERANCE, atol=TOLERANCE):
        message = f"`{hook}` of `{trick.declared.word}` gives {float(whole):.4g} for a batch"
        raise Unmet(
            f"{message}, and {float(halves.mean()):.4g} on average for its halves; take the mean over the batch"
        )


CALLS: dict[str, Callable[[Trick, Tensor], None]] = {
    "smooth_targets": _smooth_targets,
    "loss": _loss,
    "loss_term": _loss_term,
}
"""How each hook is asked, for given targets (N, K)."""
