"""batch N: images an update, over all devices. The paper's baseline has 256, its efficient training 1024."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe.api import Training, Trick, integer, trick


@trick("batch", position=70, writes=("batch",))
class Batch(Trick):
    """Set the number of images of each update, over all devices and micro batches."""

    total: int = integer(256, "images an update", minimum=1, maximum=1_000_000)

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"batch": self.total}
