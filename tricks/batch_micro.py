"""batch … micro N: compute each batch in parts of at most N images, and add up their gradients.

The gradient is that of the whole batch; only batch normalisation sees the parts, and averages over fewer images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe.api import Training, Trick, integer, trick


@trick("batch micro", position=70)
class Micro(Trick):
    """Compute each batch in parts of at most so many images, for devices whose memory a batch does not fit.

    `auto` takes the largest part that fits: the whole batch, or a half, a quarter and so on. With several processes it
    is the part that each computes at a time. A rest of one image, which batch normalisation can't train on, joins the
    part before it.
    """

    images: int | str = integer(help="images at a time", minimum=2, words=("auto",))

    def configure(self, training: Training) -> Mapping[str, Any]:
        if isinstance(self.images, str):
            return {"micro": None, "micro_auto": True}
        return {"micro": self.images}
