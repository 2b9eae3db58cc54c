"""Layer-by-layer initialization of a network, shared by the `init` tricks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from recipe.api import Edit, Initialise, Site

if TYPE_CHECKING:
    from recipe.api import Net


def fill_layers(net: Net, fill: Callable[[str, str], Initialise]) -> Iterator[Site]:
    """Yield a site for every convolution, fully connected layer and normalization layer.

    ``fill`` maps the name of a weight and the kind of its layer, ``conv`` or ``linear``, to an edit. Biases and beta
    are set to 0, and gamma to 1.
    """
    for address, kind, module in net.layers():
        edits: list[Edit] = []
        names = {name for name, _ in module.named_parameters(recurse=False)}
        if "weight" in names:
            weight = f"{address}.weight"
            edits.append(Initialise(weight, "ones") if kind == "norm" else fill(weight, kind))
        if "bias" in names:
            edits.append(Initialise(f"{address}.bias", "zeros"))
        if edits:
            yield Site(address, tuple(edits))
