"""tweak stochastic-depth [RATE]: randomly skip the trunks of residual blocks.

Huang et al. 2016, section 3: the trunk of the l-th of L blocks is skipped with probability RATE · l / L, the linear
rule. As in torchvision and timm, each image in a batch is drawn separately, and the output of a trunk that is kept is
divided by the probability of keeping it, so that evaluation needs no factor. In a model that already has stochastic
depth, such as ConvNeXt, these rates replace its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Insert, Layer, SetAttribute, Site, Trick, number, trick

if TYPE_CHECKING:
    from torch import fx, nn

    from recipe.api import Block, Edit, Net

RATES = {"StochasticDepth": "p", "DropPath": "drop_prob"}
"""The equivalent modules in torchvision and timm, and the names of their rates."""


@trick(
    "tweak stochastic-depth",
    position=20,
    reads=("trunk", "gate", "downsampling"),
    writes=("branch",),
    known_as=("drop-path", "drop-path-rate", "drop-connect"),
    similar_to=("dropout", "drop-rate", "dropblock", "shake-drop"),
)
class StochasticDepth(Trick):
    """Skip the trunk of each residual block for random images in a batch, more often in later blocks."""

    rate: float = number(0.1, "probability of skipping the trunk of the last block", above=0, below=1)

    def rewrite(self, net: Net) -> Iterable[Site]:
        ends: dict[str, tuple[Block, fx.Node]] = {}
        for block in net.blocks:
            end = next(node for node in block.add.all_input_nodes if node in block.trunk)
            # The two trunks of a transformer layer may share one module.
            ends[str(end.target) if _setting(net.module(end)) else net.address(end)] = block, end
        # A layer with two trunks, as in transformers, counts once: both have the same rate, as in timm.
        layers = list(dict.fromkeys(block.where for block, _ in ends.values()))
        edits: dict[str, list[Edit]] = {where: [] for where in layers}
        for address, (block, end) in ends.items():
            rate, module = linear(self.rate, layers.index(block.where) + 1, len(layers)), net.module(end)
            layer = Layer("torchvision.ops:StochasticDepth", {"p": rate, "mode": "row"})
            if not (name := _setting(module)):
                edits[block.where].append(Insert(address, ((f"{address.replace('#', '_')}_depth", layer),), after=True))
            elif not math.isclose(stock := getattr(module, name), rate):
                edits[block.where].append(SetAttribute(address, name, stock, rate))
        return [Site(where, tuple(each)) for where, each in edits.items()]


def _setting(module: nn.Module | None) -> str:
    """Return the name of the rate of an equivalent module, or an empty string for other modules."""
    return next((RATES[kind.__name__] for kind in type(module).__mro__ if kind.__name__ in RATES), "")


def linear(rate: float, block: int, blocks: int) -> float:
    """Return the probability of skipping a block's trunk. Blocks are counted from 1.

    >>> [linear(0.5, block, 4) for block in (1, 2, 3, 4)]
    [0.125, 0.25, 0.375, 0.5]
    """
    return rate * block / blocks
