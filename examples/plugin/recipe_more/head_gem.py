"""head gem [POWER]: generalised mean pooling in the place of average pooling. Radenović, Tolias and Chum 2018."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Layer, Site, Substitute, Trick, number, trick

if TYPE_CHECKING:
    from recipe.api import Net


@trick("head gem", writes=("head",))
class Gem(Trick):
    """Pool the last features by a generalised mean, whose power trains with the model, instead of by the average."""

    api_version = 1

    power: float = number(3.0, "power to begin with: 1 is the average, infinity would be the maximum", minimum=1)

    def rewrite(self, net: Net) -> Iterable[Site]:
        from torch import nn

        for node in net.nodes:
            pool = net.module(node)
            if type(pool).__name__ == "GeneralisedMean":
                yield Site(net.address(node))
            if isinstance(pool, nn.AdaptiveAvgPool2d) and pool.output_size in (1, (1, 1)):
                address = net.address(node)
                layer = Layer("recipe_more.pooling:GeneralisedMean", {"power": self.power})
                yield Site(address, (Substitute(address, ((f"{address}.gem", layer),)),))
