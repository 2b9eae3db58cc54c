"""tweak B: the stride of a downsampling block in its first convolution larger than 1×1.

He et al. 2019, section 4.2, figure 2a. torchvision's stock ResNets already have it there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Site, Trick, trick
from recipe.tricks._paper import tweaked
from recipe.tricks._strides import move_stride

if TYPE_CHECKING:
    from recipe.api import Evidence, Net, PlanView


@trick("tweak B", position=20, writes=("trunk",), known_as=("resnet-b",))
class TweakB(Trick):
    """Move the stride of each downsampling residual block to the first convolution of its trunk larger than 1×1."""

    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
        return tweaked(plan, "A", "B")

    def rewrite(self, net: Net) -> Iterable[Site]:
        return move_stride(
            net, lambda convs: next((i for i, conv in enumerate(convs) if conv.kernel_size != (1, 1)), 0)
        )
