"""lr … per N: linear scaling, rate × batch / N.

He et al. 2019, section 3.1 (Goyal et al. 2017): a rate of 0.1 for 256 images becomes 0.1 × b / 256 for a batch of b.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import Evidence, Training, Trick, integer, trick
from recipe.tricks._paper import TABLE4, family

if TYPE_CHECKING:
    from recipe.api import PlanView


@trick(
    "lr per",
    position=120,
    reads=("batch",),
    writes=("lr",),
    after=("lr",),
    known_as=("linear-scaling", "lr-scaling", "lr-base-size", "scale-lr"),
)
class Per(Trick):
    """Scale the learning rate linearly with the batch size, relative to the batch size of the base rate."""

    images: int = integer(256, "batch size that the base rate applies to", minimum=1, maximum=1_000_000)

    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
        if family(plan) == "ResNet-50-D" and plan.training.batch >= 1024 and not plan.find("lr warmup"):
            small, large = TABLE4["linear scaling"]
            text = (
                f"linear scaling without warmup hurts at batch 1024: top-1 {large:.2f} %, against {small:.2f} % "
                f"at batch 256, and {TABLE4['warmup'][1]:.2f} % with warmup"
            )
            yield Evidence("against", text, "Table 4 of He et al. 2019", "recalled")

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"rate": scaled(training.rate, training.batch, self.images)}


def scaled(rate: float, batch: int, images: int) -> float:
    """Return the rate for a batch, given the rate for a number of images.

    >>> scaled(0.1, 1024, 256)
    0.4
    """
    return rate * batch / images
