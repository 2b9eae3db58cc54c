"""The layers whose outputs the loss terms of a plan read."""

from __future__ import annotations

from torch import fx

from recipe.base.errors import fail
from recipe.graph.features import feature_node
from recipe.graph.net import Net
from recipe.plan.plan import Plan
from recipe.plugins.calling import call_hook


def features_of(plan: Plan, graph: fx.GraphModule) -> dict[str, dict[str, str]]:
    """Return the addresses of the layers that each loss term of a plan reads, by its words and its names for them.

    Raises `RecipeError` (E101) for a layer whose output can't be read.
    """
    net, read = Net(graph), dict[str, dict[str, str]]()
    for use in plan.hooked("features"):
        read[use.word] = dict(call_hook(use, "features", net))
        for address in read[use.word].values():
            try:
                feature_node(net, address)
            except KeyError as error:
                message = f"`{use.word}` can't read a layer of `{plan.model}`: {error.args[0]}"
                raise fail("E101", message, use.span) from None
    return read
