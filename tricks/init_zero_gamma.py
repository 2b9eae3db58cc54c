"""init zero-gamma: gamma = 0 in the last normalization layer of each residual block.

He et al. 2019, section 3.1 (Goyal et al. 2017): every block starts as the identity, so the network is easier to train
in the beginning.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Initialise, Site, Trick, trick
from recipe.tricks._paper import cumulative

if TYPE_CHECKING:
    from recipe.api import Evidence, Net, PlanView


@trick(
    "init zero-gamma",
    position=30,
    reads=("init", "trunk", "shortcut", "gate", "branch"),
    writes=("norm",),
    known_as=("zero-init-residual", "zero-init", "zero-init-last"),
)
class ZeroGamma(Trick):
    """Initialize gamma to 0 in the last normalization layer of each residual block's trunk."""

    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
        return cumulative(plan, "warmup", "zero gamma")

    def rewrite(self, net: Net) -> Iterable[Site]:
        for block in net.blocks:
            if block.last_norm is not None and block.last_norm[1].weight is not None:
                layer = block.last_norm[0].partition("#")[0]  # a layer that several blocks share
                yield Site(block.where, (Initialise(f"{layer}.weight", "zeros"),))
