"""head gem [POWER]: generalized mean pooling instead of average pooling. Radenović, Tolias and Chum 2018."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Layer, Site, Substitute, Trick, number, trick

if TYPE_CHECKING:
    from torch import fx

    from recipe.api import Net


@trick("head gem", writes=("head",))
class Gem(Trick):
    """Pool the last features with a generalized mean with a trainable power, instead of averaging them."""

    api_version = 1

    power: float = number(3.0, "initial power: 1 is the average, and infinity would be the maximum", minimum=1)

    def rewrite(self, net: Net) -> Iterable[Site]:
        node = pooling(net)
        if node is None:
            return
        address, pool = net.address(node), net.module(node)
        if getattr(pool, "start", None) == self.power:
            yield Site(address)
        else:
            layer = Layer("recipe_more.pooling:GeneralisedMean", {"power": self.power})
            yield Site(address, (Substitute(address, ((f"{address}.gem", layer),)),))


def pooling(net: Net) -> fx.Node | None:
    """Return the call of the pooling before the classifier. Squeeze-and-excitation also pools, but within blocks."""
    from torch import nn

    if net.classifier is None:
        return None
    node = net.node(net.classifier[0])
    while len(node.all_input_nodes) == 1:
        (node,) = node.all_input_nodes
        pool = net.module(node)
        if isinstance(pool, nn.AdaptiveAvgPool2d) and pool.output_size in (1, (1, 1)):
            return node
        if type(pool).__name__ == "GeneralisedMean":
            return node
        if isinstance(pool, nn.Conv2d):
            break
    return None
