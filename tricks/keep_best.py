"""keep best [by=METRIC]: keep the weights of the epoch with the best evaluation.

Goodfellow, Bengio and Courville 2016, Deep Learning, section 7.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import Training, Trick, metric, trick

if TYPE_CHECKING:
    from recipe.api import PlanView


@trick(
    "keep best",
    position=203,
    writes=("kept",),
    known_as=(
        "save-best",
        "best-checkpoint",
        "checkpoint-best",
        "save-best-only",
        "load-best-model-at-end",
        "best-model",
    ),
)
class Best(Trick):
    """Keep the weights of the epoch with the best evaluation.

    If several are equally good, the one with the lowest loss is kept, and of these the earliest one.

    The metric is `top1`, `balanced` (the mean, over the classes of the held-out images, of the fraction that is
    classified correctly), `loss`, or one that another trick computes. The choice itself uses the held-out images, so
    the result on them is slightly too good.
    """

    by: str = metric("top1", "metric to compare epochs by")

    def check(self, plan: PlanView) -> Iterable[str]:
        if plan.training.epochs == 1:
            yield "the training has only one epoch, so the best one is the last one"

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"keep_by": self.by}
