"""batch … micro N: compute each batch in parts of at most N images, and add up their gradients.

The gradient is that of the whole batch; only batch normalisation sees the parts, and averages over fewer images.
"""

from __future__ import annotations

import attrs

from recipe.api import Training, Trick, integer, trick


@trick("batch micro")
class Micro(Trick):
    """Compute each batch in parts of at most so many images, for devices whose memory a batch does not fit.

    A rest of one image, which batch normalisation can't train on, joins the part before it.
    """

    images: int = integer(help="images at a time", minimum=2)

    def configure(self, training: Training) -> Training:
        return attrs.evolve(training, micro=self.images)
