"""tweak blurpool: a low-pass filter wherever the resolution is halved.

Zhang 2019, section 3.2: a max pooling or convolution with stride 2 runs with stride 1 instead. Its output, after the
normalization and ReLU in the case of a convolution, is filtered and then subsampled. The first convolution of the
network keeps its stride, as in Zhang's ResNets. The filter is the binomial [1, 2, 1] / 4 along both axes, composed of
two averages over 2×2 pixels. It repeats the last pixel at the border.
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


@trick(
    "tweak blurpool",
    position=20,
    reads=("stem", "trunk", "shortcut", "gate"),
    writes=("downsampling",),
    known_as=("anti-aliasing", "aa-layer"),
)
class Blurpool(Trick):
    """Blur before each downsampling step: max pooling, and the trunks and shortcuts of residual blocks."""

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
    """Return the filter and the subsampling, named after the adjacent module. They halve H and W of (N, C, H, W).

    The sides are rounded up, so that these layers and a stride of 1 can replace a stride of 2.
    """
    place = address.replace("#", "_")
    return (f"{place}_blur", Layer("AvgPool2d", dict(BLUR))), (f"{place}_pool", Layer("AvgPool2d", dict(POOL)))


def _halves(block: Block) -> bool:
    """Whether a block reduces the resolution."""
    before, after = block.split.meta.get("shape", ()), block.add.meta.get("shape", ())  # a split may return several
    return len(before) == len(after) == 4 and bool(before[-1] > after[-1])


def _trunk(net: Net, block: Block) -> Iterator[SetAttribute | Insert]:
    for address, conv in block.trunk_convs:
        if conv.stride == (2, 2) and "#" not in address:
            place, after = _behind(net, net.node(address))
            yield SetAttribute(address, "stride", conv.stride, (1, 1))
            yield Insert(place, blur(place), after=after)


def _behind(net: Net, conv: fx.Node) -> tuple[str, bool]:
    """Return the place for a convolution's filter: before the next convolution, after elementwise operations."""
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
