"""tweak blurpool: a low-pass filter wherever a resolution is halved.

Zhang 2019, section 3.2: a max pooling or a convolution of stride 2 is computed with stride 1, and its result, after the
normalisation and the ReLU that follow a convolution, is filtered and then subsampled. The convolution where images
enter keeps its stride, as in Zhang's ResNets. The filter is the binomial [1, 2, 1] / 4 along both axes, made of two
averages over 2×2 pixels; at the border the last pixel repeats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from recipe.api import Insert, Layer, SetAttribute, Site, Trick, trick

if TYPE_CHECKING:
    from torch import fx

    from recipe.api import Block, Net

BLUR = {"kernel_size": 2, "stride": 1, "padding": 1, "count_include_pad": False}
POOL = {"kernel_size": 2, "stride": 2}


@trick("tweak blurpool", position=20, reads=("stem", "trunk", "shortcut", "gate"), writes=("downsampling",))
class Blurpool(Trick):
    """Filter before each halving of a resolution: in max pooling, and in trunk and shortcut of residual blocks."""

    def rewrite(self, net: Net) -> Iterable[Site]:
        from torch import nn

        for node in net.nodes:
            module = net.module(node)
            if isinstance(module, nn.MaxPool2d) and module.stride in (2, (2, 2)) and not module.ceil_mode:
                address = net.address(node)
                if "#" not in address:
                    one = 1 if isinstance(module.stride, int) else (1, 1)
                    stride = SetAttribute(address, "stride", module.stride, one)
                    yield Site(address, (stride, Insert(address, blur(address), after=True)))
        for block in net.blocks:
            edits = (*_trunk(net, block), *_shortcut(block))
            if edits or _halves(block):
                yield Site(block.where, edits)


def blur(address: str) -> tuple[tuple[str, Layer], ...]:
    """The filter and the subsampling, named by the address of what they stand beside: (N, C, H, W) to half of H and W.

    The sides are rounded up, so that a layer of stride 2 may have stride 1 and this instead.
    """
    place = address.replace("#", "_")
    return (f"{place}_blur", Layer("AvgPool2d", dict(BLUR))), (f"{place}_pool", Layer("AvgPool2d", dict(POOL)))


def _halves(block: Block) -> bool:
    """Whether a block makes the resolution smaller."""
    before, after = block.split.meta.get("shape", ()), block.add.meta.get("shape", ())  # a split may give several
    return len(before) == len(after) == 4 and bool(before[-1] > after[-1])


def _trunk(net: Net, block: Block) -> Iterator[SetAttribute | Insert]:
    for address, conv in block.trunk_convs:
        if conv.stride == (2, 2) and "#" not in address:
            place, after = _behind(net, net.node(address))
            yield SetAttribute(address, "stride", conv.stride, (1, 1))
            yield Insert(place, blur(place), after=after)


def _behind(net: Net, conv: fx.Node) -> tuple[str, bool]:
    """Where the filter of a convolution goes: before the next one, and after what else changes its result by itself."""
    from torch import nn

    node = conv
    while len(node.users) == 1:
        (user,) = node.users
        if isinstance(net.module(user), nn.Conv2d):
            return net.address(user), False
        if len(user.all_input_nodes) != 1 or user.meta.get("shape") != node.meta.get("shape"):
            break
        node = user
    return net.address(node), True


def _shortcut(block: Block) -> Iterator[SetAttribute | Insert]:
    for address, conv in block.shortcut_convs:
        if conv.stride == (2, 2) and conv.kernel_size == (1, 1) and "#" not in address:
            yield Insert(address, blur(address))
            yield SetAttribute(address, "stride", conv.stride, (1, 1))
