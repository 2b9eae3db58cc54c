"""The settings of a training, as the tricks of a plan make them one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import attrs

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError
from recipe.plan.ordering import clash, followed
from recipe.plugins.calling import call_hook
from recipe.plugins.sandbox import quiet
from recipe.plugins.settings import Training
from recipe.plugins.trick import Trick
from recipe.plugins.uses import Use

OTHER = Training(
    epochs=2, batch=2, micro=1, micro_auto=True, synchronised=True, seed=1, rate=0.2, rate_per_epoch=True, warmup=1.0,
    weight_decay=0.1, aux_weight=0.1, precision="bf16", channels_last=True, compile_mode="default",
)  # fmt: skip
"""A training that differs from that of no trick in every setting."""


def configured(uses: Sequence[Use]) -> Training:
    """The training that tricks, in their order, configure.

    Raises `RecipeError` (E030) for two that set the same and do not declare which of them has the last word.
    """
    training, earlier = Training(), followed(uses)
    makers: dict[str, list[Use]] = {}
    errors = []
    for use in uses:
        if not use.trick.overrides("configure"):
            continue
        before, training = training, call_hook(use, "configure", training)
        for name in sorted(_differ(before, training) | _set(use.trick, before)):
            others = [other for other in makers.get(name, ()) if other.word not in earlier[use.word]]
            errors += [_clash(other, use, name) for other in others]
            makers.setdefault(name, []).append(use)
    if errors:
        raise RecipeError(*errors)
    return training


def _differ(one: Training, other: Training) -> set[str]:
    return {field.name for field in attrs.fields(Training) if getattr(one, field.name) != getattr(other, field.name)}


def _set(trick: Trick, training: Training) -> set[str]:
    """The settings that a trick sets, also to what they are already: a training in which all are others shows them."""
    stock = Training()
    same = {field.name for field in attrs.fields(Training)} - _differ(training, stock)
    another = attrs.evolve(stock, **{name: getattr(OTHER, name) for name in same})
    with contextlib.suppress(Exception, SystemExit), quiet():  # this training is nobody's, and a trick need not take it
        return _differ(another, trick.configure(another))
    return set()


def _clash(first: Use, second: Use, name: str) -> Diagnostic:
    help = f'leave one out; a trick that is to change what another sets declares so, as by `after=("{first.word}",)`'
    return attrs.evolve(clash(first, second, f"both set `{name}` of the training"), help=help)
