"""norm precise: compute the running statistics of batch normalization anew before each evaluation.

Wu and Johnson 2021 ("Rethinking 'Batch' in BatchNorm", section 3) find that 1,000 to 10,000 images are enough, and that
the variance has to be that of all of them, not the mean of those of batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe.api import Training, Trick, integer, trick


@trick(
    "norm precise",
    position=190,
    writes=("run",),
    implied=True,
    known_as=("precise-bn", "update-bn", "bn-recalibration", "recompute-bn"),
    similar_to=("bn-momentum",),
)
class Precise(Trick):
    """Evaluate and save batch normalization with statistics of the current weights, over the last training images.

    Running statistics are moving averages, so they are partly those of earlier weights. After few updates, and with the
    slow averages of models such as MobileNetV3, they are even partly the initial ones. Before each evaluation, the
    images of the last steps, at most those of an epoch, pass through the model once more, with their augmentations and
    with dropout. Their statistics replace the running ones. Frozen normalization keeps its own.
    """

    images: int = integer(1000, "training images whose statistics are used", minimum=2, maximum=1_000_000)

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"statistics_images": self.images}
