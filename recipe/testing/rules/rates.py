"""``rates``: an optimizer goes as far as the learning rate of the step lets it."""

from __future__ import annotations

import torch
from torch import nn

from recipe.testing import inputs
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.trick_under_test import TrickUnderTest

DECAY = 0.1


def rates(subject: TrickUnderTest) -> None:
    """An optimizer whose groups all have a rate of 0 changes no weight, weight decay or not.

    Before each step every group's ``lr`` is set to what the schedule says: who keeps the first one has no schedule.
    """
    if not subject.overrides("optimize"):
        raise Skipped("it makes no optimizer")
    use = subject.bench.plan(subject.within).find(subject.word)
    assert use is not None
    weights = [nn.Parameter(one) for one in inputs.weights(0)]
    optimizer = use.trick.optimize([{"params": weights, "weight_decay": DECAY}], 0.1)
    for seed in (2, 3):
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        for weight, gradient in zip(weights, inputs.weights(seed), strict=True):
            weight.grad = gradient
        optimizer.step()
    if not all(torch.equal(one, other) for one, other in zip(weights, inputs.weights(0), strict=True)):
        raise Unmet(
            f"the optimizer of `{subject.word}` changes weights at a learning rate of 0; "
            'let `step` take the rate from `group["lr"]`, which is set before each step'
        )
