"""tweak se [REDUCTION]: squeeze-and-excitation at the end of each residual block's trunk.

Hu et al. 2018, section 3: each channel is scaled by σ(W₂ δ(W₁ z)), where z contains the channel means over the image,
δ is ReLU, and W₁ reduces the channels by a factor of REDUCTION. Figure 3 puts it before the addition. Here, W₁ and W₂
are 1×1 convolutions. If a model already has gates in its trunks, they must match REDUCTION.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Insert, Layer, Site, Trick, fail, integer, trick

if TYPE_CHECKING:
    from recipe.api import Block, Net


@trick(
    "tweak se",
    position=20,
    reads=("trunk",),
    writes=("gate",),
    known_as=("squeeze-excitation", "squeeze-and-excitation", "se-block", "senet"),
    similar_to=("eca", "cbam"),
)
class SqueezeExcitation(Trick):
    """Scale the channels of each residual block's trunk, after its last normalization, based on the whole image."""

    reduction: int = integer(16, "trunk channels per bottleneck channel", minimum=1, maximum=10_000)

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
        """Return the site of a block that has a gate. Rejects another reduction, as the gate would lose its weights."""
        has = "is of a different kind"
        if block.bottleneck is not None:
            channels, squeezed = block.bottleneck
            if squeezed == self._squeezed(channels):
                return Site(block.where)
            has = f"squeezes channels from {channels} to {squeezed}, not to {self._squeezed(channels)}"
        message = f"`{block.where}` already has a gate, which {has}"
        raise fail("E024", message, help="remove `tweak se` to keep the model's own gates")
