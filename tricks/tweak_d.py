"""tweak D: average pooling before the 1×1 convolution of a downsampling shortcut, whose stride becomes 1.

He et al. 2019, section 4.2, figure 2c: with stride 2, that convolution ignores three quarters of its input. In the
paper, D builds on B and C. If a side is odd, the last pooling window is truncated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Evidence, Insert, Layer, SetAttribute, Site, Trick, trick
from recipe.tricks._paper import TABLE5, family, tweaked

if TYPE_CHECKING:
    from recipe.api import Net, PlanView


@trick("tweak D", position=20, writes=("shortcut",), known_as=("avg-down", "resnet-d"))
class TweakD(Trick):
    """Pool before the 1×1 convolution in the shortcut of each downsampling residual block, instead of striding."""

    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
        if plan.find("tweak C"):
            yield from tweaked(plan, "C", "D")
        elif family(plan) == "ResNet-50-D":
            d, c = TABLE5["D"], TABLE5["C"]
            text = f"`tweak D` without `tweak C` was not measured: its top-1 of {d:.2f} % builds on C's {c:.2f} %"
            yield Evidence("against", text, "Table 5 of He et al. 2019", "recalled")

    def rewrite(self, net: Net) -> Iterable[Site]:
        for block in net.blocks:
            convs = block.shortcut_convs
            if len(convs) != 1 or convs[0][1].kernel_size != (1, 1):
                continue
            address, conv = convs[0]
            if conv.stride == (1, 1):
                if any("AvgPool" in type(net.module(node)).__name__ for node in block.shortcut):
                    yield Site(block.where)
                continue
            stride = conv.stride[0] if len({*conv.stride}) == 1 else conv.stride
            pool = {"kernel_size": stride, "stride": stride, "ceil_mode": True, "count_include_pad": False}
            yield Site(
                block.where,
                (
                    Insert(address, ((f"{address}_pool", Layer("AvgPool2d", pool)),)),
                    SetAttribute(address, "stride", conv.stride, (1, 1)),
                ),
            )
