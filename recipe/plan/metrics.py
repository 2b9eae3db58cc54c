"""The metrics of a plan's evaluations: those that every evaluation has, and those of its tricks."""

from __future__ import annotations

import attrs

from recipe.base.errors import fail
from recipe.base.wording import did_you_mean, listing
from recipe.plan.plan import Plan
from recipe.plugins.calling import broken, call_hook
from recipe.plugins.metrics import BUILT_IN, RESERVED


def metric_modes(plan: Plan) -> dict[str, str]:
    """Return the metrics that a plan's epochs can be compared by, each with ``max`` or ``min``, its best value.

    Raises `RecipeError` (E080) if a trick's metric has the name of another one.
    """
    modes, packages = dict(BUILT_IN), dict[str, str]()
    for use in plan.hooked("metric_modes"):
        for name, mode in call_hook(use, "metric_modes").items():
            if name in RESERVED or name in modes:
                whose = f"from {packages[name]}" if name in packages else "of every evaluation"
                raise broken(use, "metric_modes", f"`{name}` is already a metric {whose}", help="give it another name")
            modes[name], packages[name] = mode, use.declared.package
    return modes


def check_metrics(plan: Plan) -> None:
    """Raise `RecipeError` if a plan keeps the best epoch by a metric that it doesn't have (E033).

    Also if one of its tricks declares its metrics wrongly (E080).
    """
    modes, name = metric_modes(plan), plan.training.keep_by
    if name is None or name in modes:
        return
    use = plan.makers["keep_by"][-1]
    field = next((field for field, value in use.values.items() if value == name), "")
    place = use.place(field)
    if place is not None and place.text.endswith(name):  # without the field's name
        place = attrs.evolve(place, start=place.end - len(name))
    help = did_you_mean(name, modes, f"the metrics of this recipe are {listing(modes)}")
    raise fail("E033", f"`{use.word}` compares by the unknown metric `{name}`", place, help=help)
