"""The learning rate at a step."""

from __future__ import annotations

import math

import attrs

from recipe.plan.plan import Plan
from recipe.plugins.calling import call_hook
from recipe.plugins.progress import Progress


def learning_rate(plan: Plan, progress: Progress) -> float:
    """The learning rate at a step: the base rate times the factor of every trick that has one."""
    if plan.training.rate_per_epoch and progress.epoch >= progress.warmup:
        # Inside the warmup the rate rises with each batch all the same; after it, it holds for a whole epoch.
        risen = math.ceil(progress.warmup * progress.steps_per_epoch)
        begun = int(progress.epoch) * progress.steps_per_epoch
        progress = attrs.evolve(progress, step=max(begun, risen))
    return math.prod(
        (call_hook(use, "lr_factor", progress) for use in plan.hooked("lr_factor")), start=plan.training.rate
    )
