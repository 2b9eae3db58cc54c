"""Move a block's stride from one of its convolutions to another, shared by tweak A and tweak B."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from recipe.api import SetAttribute, Site

if TYPE_CHECKING:
    from torch import nn

    from recipe.api import Net


def move_stride(net: Net, wanted: Callable[[list[nn.Conv2d]], int]) -> Iterator[Site]:
    """Yield a site for every residual block with exactly one strided convolution in its trunk.

    ``wanted`` returns the position of the convolution to move the stride to.
    """
    for block in net.blocks:
        convs = block.trunk_convs
        strided = [index for index, (_, conv) in enumerate(convs) if conv.stride != (1, 1)]
        if len(strided) != 1:
            continue
        old, new = strided[0], wanted([conv for _, conv in convs])
        if old == new:
            yield Site(block.where)
            continue
        (old_address, old_conv), (new_address, _) = convs[old], convs[new]
        yield Site(
            block.where,
            (
                SetAttribute(old_address, "stride", old_conv.stride, (1, 1)),
                SetAttribute(new_address, "stride", (1, 1), old_conv.stride),
            ),
        )
