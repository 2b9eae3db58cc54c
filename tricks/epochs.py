"""epochs N: passes over the training images. The paper uses 120, or 200 with mixup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe.api import Training, Trick, integer, trick


@trick(
    "epochs",
    position=80,
    known_as=("num-epochs", "n-epochs", "max-epochs", "num-train-epochs", "total-epochs"),
    similar_to=("iterations", "max-steps", "steps"),
)
class Epochs(Trick):
    """Set the number of passes over the training images."""

    count: int = integer(120, "passes over the training images", minimum=1, maximum=100_000)

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"epochs": self.count}
