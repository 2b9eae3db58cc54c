"""What the tricks that freeze a part of the model check alike."""

from __future__ import annotations

from collections.abc import Iterator

from recipe.api import PlanView


def without_weights(plan: PlanView) -> Iterator[str]:
    """Warn if the weights of a stock model are random, because the recipe names no pretrained ones."""
    weights = plan.base.values.get("weights", "unknown")
    if weights is None and plan.model != "module":
        yield "what it freezes has random weights: `base` names no pretrained ones with `weights=`"
