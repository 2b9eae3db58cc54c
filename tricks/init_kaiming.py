"""init kaiming: Kaiming (MSRA) initialisation, of GluonCV's training script and of torchvision's ResNets.

He et al. 2015: weights of convolutions from N(0, 2 / fan); fully connected layers take the fan of their inputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Initialise, Site, Trick, choice, trick
from recipe.tricks._fills import fill_layers

if TYPE_CHECKING:
    from recipe.api import Net


@trick("init kaiming", reads=("stem", "trunk", "shortcut", "gate", "downsampling", "branch"), writes=("init",))
class Kaiming(Trick):
    """Draw the weights of convolution and fully connected layers from Kaiming's normal distribution."""

    fan: str = choice("out", "the fan that convolutions are scaled by", of=("in", "out"))

    def rewrite(self, net: Net) -> Iterable[Site]:
        def fill(weight: str, kind: str) -> Initialise:
            mode = "fan_in" if kind == "linear" else f"fan_{self.fan}"
            return Initialise(weight, "kaiming_normal", {"mode": mode, "nonlinearity": "relu"})

        return fill_layers(net, fill)
