"""tweak C: three 3×3 convolutions instead of the 7×7 in the stem.

He et al. 2019, section 4.2, figure 2b (from Inception-V2): the first two have half the stem's channels, the third has
all of them, and the first has stride 2. A 7×7 convolution costs 5.4 times as much as a 3×3.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Layer, Site, Substitute, Trick, trick
from recipe.tricks._paper import tweaked

if TYPE_CHECKING:
    from recipe.api import Evidence, Net, PlanView


@trick("tweak C", position=20, writes=("stem",), known_as=("deep-stem", "resnet-c"))
class TweakC(Trick):
    """Replace the 7×7 convolution with stride 2 in the stem with three 3×3 convolutions."""

    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
        return tweaked(plan, "B", "C")

    def rewrite(self, net: Net) -> Iterable[Site]:
        if net.stem is None:
            return
        address, conv = net.stem
        if (conv.kernel_size, conv.stride, conv.groups) == ((3, 3), (2, 2), 1) and _is_deep(net):
            yield Site(address)
        if (conv.kernel_size, conv.stride, conv.padding, conv.groups) != ((7, 7), (2, 2), (3, 3), 1):
            return
        half = conv.out_channels // 2
        layers = (
            _conv(conv.in_channels, half, 2),
            Layer("BatchNorm2d", {"num_features": half}),
            Layer("ReLU", {"inplace": True}),
            _conv(half, half, 1),
            Layer("BatchNorm2d", {"num_features": half}),
            Layer("ReLU", {"inplace": True}),
            _conv(half, conv.out_channels, 1),
        )
        yield Site(address, (Substitute(address, tuple((f"{address}.{i}", layer) for i, layer in enumerate(layers))),))


def _conv(channels: int, out: int, stride: int) -> Layer:
    return Layer(
        "Conv2d",
        {"in_channels": channels, "out_channels": out, "kernel_size": 3, "stride": stride, "padding": 1, "bias": False},
    )


def _is_deep(net: Net) -> bool:
    """Whether three 3×3 convolutions come before the first block."""
    first = net.blocks[0].split if net.blocks else None
    shapes = []
    for node in net.nodes:
        if node is first:
            break
        kernel = getattr(net.module(node), "kernel_size", None)
        if getattr(net.module(node), "weight", None) is not None and kernel is not None:
            shapes.append(kernel)
    return first is not None and shapes == [(3, 3)] * 3
