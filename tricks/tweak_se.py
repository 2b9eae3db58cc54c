"""tweak se [REDUCTION]: squeeze-and-excitation at the end of each residual block's trunk.

Hu et al. 2018, section 3: each channel is weighed by σ(W₂ δ(W₁ z)), where z are the channels' means over the image, δ
is ReLU, and W₁ leaves one in REDUCTION channels; figure 3 puts it before the add. Both are 1×1 convolutions here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Insert, Layer, Site, Trick, integer, trick

if TYPE_CHECKING:
    from recipe.api import Net


@trick("tweak se", reads=("trunk",), writes=("gate",))
class SqueezeExcitation(Trick):
    """Weigh the channels of each residual block's trunk, after its last normalisation, by what the whole image says."""

    reduction: int = integer(16, "channels of the trunk for each of the bottleneck's", minimum=1, maximum=10_000)

    def rewrite(self, net: Net) -> Iterable[Site]:
        for block in net.blocks:
            if block.gated:
                yield Site(block.where)
            elif block.last_norm is not None:
                address = block.last_norm[0]
                channels = net.node(address).meta["shape"][1]
                sizes = {"input_channels": channels, "squeeze_channels": max(1, channels // self.reduction)}
                gate = Layer("torchvision.ops:SqueezeExcitation", sizes)
                yield Site(block.where, (Insert(address, ((f"{address.replace('#', '_')}_se", gate),), after=True),))
