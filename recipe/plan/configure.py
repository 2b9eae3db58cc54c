"""The settings of a training, as the tricks of a plan make them one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError
from recipe.base.wording import listing, nearest
from recipe.plan.ordering import clash, followed
from recipe.plugins.calling import broken, call_hook
from recipe.plugins.settings import KINDS, Training
from recipe.plugins.uses import Use


def configured(uses: Sequence[Use]) -> tuple[Training, dict[str, list[Use]]]:
    """The training that tricks, in their order, configure, and which of them make each of its settings.

    Raises `RecipeError`: E030 for two that make the same setting and do not declare which of them has the last word,
    E080 for a setting that does not exist or a value of another kind.
    """
    training, earlier = Training(), followed(uses)
    makers: dict[str, list[Use]] = {}
    errors = []
    for use in uses:
        if not use.trick.overrides("configure"):
            continue
        made = call_hook(use, "configure", training)
        for name in sorted(made, key=str):
            _check(use, name, made[name])
            others = [other for other in makers.get(name, ()) if other.word not in earlier[use.word]]
            errors += [_clash(other, use, name) for other in others]
            makers.setdefault(name, []).append(use)
        training = attrs.evolve(training, **made)
    if errors:
        raise RecipeError(*errors)
    return training, makers


def _check(use: Use, name: Any, value: Any) -> None:
    """Raise `RecipeError` (E080) where a trick makes no setting of that name, or one of another kind."""
    if name not in KINDS:
        near = nearest(str(name), KINDS)
        help = f"did you mean `{near}`?" if near else f"the settings are {listing(KINDS, most=len(KINDS))}"
        raise broken(use, "configure", f"no setting is named `{name}`", help=help)
    if not KINDS[name].holds(value):
        raise broken(use, "configure", f"the setting `{name}` is {KINDS[name].expects}, not {value!r:.60}")


def _clash(first: Use, second: Use, name: str) -> Diagnostic:
    help = f'leave one out; a trick that is to change what another sets declares so, as by `after=("{first.word}",)`'
    return attrs.evolve(clash(first, second, f"both set `{name}` of the training"), help=help)
