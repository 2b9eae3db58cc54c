"""seed N: the seed of all randomness in a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe.api import Training, Trick, integer, trick


@trick("seed", position=210, known_as=("random-seed", "random-state", "manual-seed"))
class Seed(Trick):
    """Set the seed for initial weights, the order of images, and all augmentations."""

    number: int = integer(0, "seed", minimum=0, maximum=2**31 - 1)

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"seed": self.number}
