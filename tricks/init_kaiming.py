"""init kaiming: Kaiming (MSRA) initialization, as in GluonCV's training script and torchvision's ResNets.

He et al. 2015: the weights of convolutions come from N(0, 2 / (1 + slope²) / fan). Fully connected layers use fan_in.
GluonCV's script uses MXNet's `MSRAPrelu`, with the mean of both fans for every layer and a slope of 0.25.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Initialise, Site, Trick, choice, number, trick
from recipe.tricks._fills import fill_layers

if TYPE_CHECKING:
    from recipe.api import Net


@trick(
    "init kaiming",
    position=30,
    reads=("stem", "trunk", "shortcut", "gate", "downsampling", "branch", "head", "activation"),
    writes=("init",),
    known_as=("he", "he-init", "kaiming-normal", "msra"),
)
class Kaiming(Trick):
    """Draw the weights of convolution and fully connected layers from Kaiming's normal distribution."""

    fan: str = choice(
        "out",
        "fan for scaling convolutions, or `avg` for the mean of both in all layers",
        of=("in", "out", "avg"),
        dialects={"gluoncv": "avg"},
    )
    slope: float = number(
        0, "slope of the activation for negative inputs", minimum=0, maximum=1, dialects={"gluoncv": 0.25}
    )

    def rewrite(self, net: Net) -> Iterable[Site]:
        def fill(weight: str, kind: str) -> Initialise:
            if self.fan == "avg":  # same standard deviation as Xavier's, except for the gain
                return Initialise(weight, "xavier_normal", {"gain": math.sqrt(2 / (1 + self.slope**2))})
            mode = "fan_in" if kind == "linear" else f"fan_{self.fan}"
            slope = {"a": self.slope, "nonlinearity": "leaky_relu"} if self.slope else {"nonlinearity": "relu"}
            return Initialise(weight, "kaiming_normal", {"mode": mode, **slope})

        return fill_layers(net, fill)
