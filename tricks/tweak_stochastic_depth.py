"""tweak stochastic-depth [RATE]: leave out the trunk of a residual block at random.

Huang et al. 2016, section 3: the trunk of the l-th of L blocks is left out with probability RATE · l / L, the linear
rule. As in torchvision and timm, each image of a batch has a draw of its own, and a trunk that is kept is divided by
the probability of that, so that evaluation needs no factor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Insert, Layer, Site, Trick, number, trick

if TYPE_CHECKING:
    from torch import fx

    from recipe.api import Block, Net

SUCH = ("StochasticDepth", "stochastic_depth", "DropPath")
"""What torchvision and timm have to do the same."""


@trick("tweak stochastic-depth", reads=("trunk", "gate", "downsampling"), writes=("branch",))
class StochasticDepth(Trick):
    """Leave out the trunk of each residual block for some images of a batch, of later blocks more often."""

    rate: float = number(0.1, "probability of leaving out the trunk of the last block", above=0, below=1)

    def rewrite(self, net: Net) -> Iterable[Site]:
        for place, block in enumerate(net.blocks, 1):
            end = _end(block)
            kind = type(net.module(end)).__name__ if net.module(end) else getattr(end.target, "__name__", "")
            if kind in SUCH:
                yield Site(block.where)
                continue
            address = net.address(end)
            rate = linear(self.rate, place, len(net.blocks))
            layer = Layer("torchvision.ops:StochasticDepth", {"p": rate, "mode": "row"})
            yield Site(block.where, (Insert(address, ((f"{address.replace('#', '_')}_depth", layer),), after=True),))


def _end(block: Block) -> fx.Node:
    """The node whose output the trunk hands to the add."""
    return next(node for node in block.add.all_input_nodes if node in block.trunk)


def linear(rate: float, block: int, blocks: int) -> float:
    """The probability that a block's trunk is left out, of blocks counted from 1.

    >>> [linear(0.5, block, 4) for block in (1, 2, 3, 4)]
    [0.125, 0.25, 0.375, 0.5]
    """
    return rate * block / blocks
