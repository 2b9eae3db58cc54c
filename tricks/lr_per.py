"""lr … per N: linear scaling, rate × batch / N.

He et al. 2019, section 3.1 (Goyal et al. 2017): 0.1 for 256 images becomes 0.1 × b / 256 for a batch of b.
"""

from __future__ import annotations

import attrs

from recipe.api import Training, Trick, integer, trick


@trick("lr per", reads=("run",), writes=("lr",), after=("lr", "batch"))
class Per(Trick):
    """Scale the learning rate linearly with the batch: the base rate is for so many images."""

    images: int = integer(256, "images that the base rate is for", minimum=1, maximum=1_000_000)

    def configure(self, training: Training) -> Training:
        return attrs.evolve(training, rate=scaled(training.rate, training.batch, self.images))


def scaled(rate: float, batch: int, images: int) -> float:
    """The rate for a batch, from the rate for so many images.

    >>> scaled(0.1, 1024, 256)
    0.4
    """
    return rate * batch / images
