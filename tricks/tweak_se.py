"""tweak se [REDUCTION]: squeeze-and-excitation at the end of each residual block's trunk.

Hu et al. 2018, section 3: each channel is weighed by σ(W₂ δ(W₁ z)), where z are the channels' means over the image, δ
is ReLU, and W₁ leaves one in REDUCTION channels; figure 3 puts it before the add. Both are 1×1 convolutions here. A
model whose trunks have gates already must have them of this REDUCTION.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Insert, Layer, Site, Trick, fail, integer, trick

if TYPE_CHECKING:
    from recipe.api import Block, Net


@trick("tweak se", position=20, reads=("trunk",), writes=("gate",))
class SqueezeExcitation(Trick):
    """Weigh the channels of each residual block's trunk, after its last normalisation, by what the whole image says."""

    reduction: int = integer(16, "channels of the trunk for each of the bottleneck's", minimum=1, maximum=10_000)

    def rewrite(self, net: Net) -> Iterable[Site]:
        for block in net.blocks:
            if block.gated:
                yield self._already(block)
            elif block.last_norm is not None:
                address = block.last_norm[0]
                channels = net.node(address).meta["shape"][1]
                sizes = {"input_channels": channels, "squeeze_channels": self._squeezed(channels)}
                gate = Layer("torchvision.ops:SqueezeExcitation", sizes)
                yield Site(block.where, (Insert(address, ((f"{address.replace('#', '_')}_se", gate),), after=True),))

    def _squeezed(self, channels: int) -> int:
        return max(1, channels // self.reduction)

    def _already(self, block: Block) -> Site:
        """The site of a block that has a gate; one of another reduction is refused, for it would lose its weights."""
        has = "is of another kind"
        if block.bottleneck is not None:
            channels, squeezed = block.bottleneck
            if squeezed == self._squeezed(channels):
                return Site(block.where)
            has = f"squeezes {channels} channels to {squeezed}, not to {self._squeezed(channels)}"
        message = f"`{block.where}` has a gate already, and it {has}"
        raise fail("E024", message, help="leave `tweak se` out, and the model keeps its own gates")
