"""tweak A: the stride of a downsampling block in its first convolution, as in the paper's baseline.

He et al. 2019, section 4.1 (the original ResNet of He et al. 2016). In a bottleneck, this is the 1×1 convolution, which
then ignores three quarters of its input. Tweak B fixes that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Evidence, Site, Trick, trick
from recipe.tricks._paper import TABLE5, family
from recipe.tricks._strides import move_stride

if TYPE_CHECKING:
    from recipe.api import Net, PlanView


@trick("tweak A", position=20, writes=("trunk",), known_as=("resnet-a",))
class TweakA(Trick):
    """Move the stride of each downsampling residual block to the first convolution of its trunk."""

    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
        if family(plan) == "ResNet-50-D":
            text = f"the paper's baseline: top-1 {TABLE5['A']:.2f} %, or {TABLE5['B']:.2f} % with tweak B's stride"
            yield Evidence("mixed", text, "Table 5 of He et al. 2019", "recalled")

    def rewrite(self, net: Net) -> Iterable[Site]:
        return move_stride(net, lambda convs: 0)
