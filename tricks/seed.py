"""seed N: the number that all randomness of a run follows from."""

from __future__ import annotations

import attrs

from recipe.api import Training, Trick, integer, trick


@trick("seed")
class Seed(Trick):
    """Set the seed of initial weights, of the order of the images and of every augmentation."""

    number: int = integer(0, "seed", minimum=0, maximum=2**31 - 1)

    def configure(self, training: Training) -> Training:
        return attrs.evolve(training, seed=self.number)
