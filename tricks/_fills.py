"""Initialising a whole network layer by layer; what the initialisers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from recipe.api import Edit, Initialise, Site

if TYPE_CHECKING:
    from recipe.api import Net


def fill_layers(net: Net, fill: Callable[[str, str], Initialise]) -> Iterator[Site]:
    """A site for every convolution, fully connected layer and normalisation.

    ``fill`` gives the edit for a weight, by its name and the kind of its layer, ``conv`` or ``linear``. Biases and beta
    get 0, gamma 1.
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
