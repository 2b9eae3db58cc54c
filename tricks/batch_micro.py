"""batch … micro N: compute each batch in micro-batches of at most N images, and accumulate their gradients.

The gradient is that of the whole batch. Only batch normalization is affected, because it averages over fewer images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import Training, Trick, integer, trick

if TYPE_CHECKING:
    from recipe.api import PlanView


@trick(
    "batch micro",
    position=70,
    known_as=("micro-batch", "micro-batch-size"),
    similar_to=(
        "grad-accum",
        "grad-accum-steps",
        "gradient-accumulation",
        "gradient-accumulation-steps",
        "grad-accumulation",
        "accumulate",
        "accumulate-grad-batches",
        "accumulation-steps",
    ),
)
class Micro(Trick):
    """Split each batch into micro-batches of limited size, for batches that don't fit in device memory.

    `auto` uses the largest size that fits: the whole batch, or half of it, a quarter and so on. With several processes,
    the size applies to each process. A remainder of one image, which batch normalization can't train on, is added to
    the previous micro-batch.
    """

    images: int | str = integer(help="images per micro-batch", minimum=2, words=("auto",), example="32")

    def check(self, plan: PlanView) -> Iterable[str]:
        if not isinstance(self.images, str) and self.images >= plan.training.batch:
            yield f"nothing is split: the batch size is {plan.training.batch}"

    def configure(self, training: Training) -> Mapping[str, Any]:
        if isinstance(self.images, str):
            return {"micro": None, "micro_auto": True}
        return {"micro": self.images}
