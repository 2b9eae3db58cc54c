"""batch N: images per update, over all devices. The paper uses 256 for its baseline, and 1024 in efficient training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe.api import Training, Trick, integer, trick


@trick("batch", position=70, writes=("batch",), known_as=("batch-size", "bs", "total-batch-size", "global-batch-size"))
class Batch(Trick):
    """Set the number of images per update, over all devices and micro-batches."""

    total: int = integer(256, "images per update", minimum=1, maximum=1_000_000)

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"batch": self.total}
