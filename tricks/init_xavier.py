"""init xavier: Xavier initialization, as in the paper.

He et al. 2019, section 2.1: the weights of convolutions and fully connected layers come from U(−a, a) with
a = √(6 / (fan_in + fan_out)). Biases are 0, BN gamma is 1, and beta is 0. Glorot and Bengio 2010.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Initialise, Site, Trick, number, trick
from recipe.tricks._fills import fill_layers

if TYPE_CHECKING:
    from recipe.api import Net


@trick(
    "init xavier",
    position=30,
    reads=("stem", "trunk", "shortcut", "gate", "downsampling", "branch", "head", "activation"),
    writes=("init",),
    known_as=("glorot", "xavier-uniform", "glorot-uniform"),
)
class Xavier(Trick):
    """Draw the weights of convolution and fully connected layers from Xavier's uniform distribution."""

    gain: float = number(1.0, "factor of the bound a", above=0, maximum=100)

    def rewrite(self, net: Net) -> Iterable[Site]:
        return fill_layers(net, lambda weight, kind: Initialise(weight, "xavier_uniform", {"gain": self.gain}))
