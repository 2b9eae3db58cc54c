"""patience N: end the training if no evaluation is better than the best one for N epochs.

Goodfellow, Bengio and Courville 2016, Deep Learning, algorithm 7.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from recipe.api import EvaluationResult, Trick, integer, trick

if TYPE_CHECKING:
    from recipe.api import PlanView


@trick(
    "patience", position=206, known_as=("early-stopping", "early-stop", "early-stopping-patience", "patience-epochs")
)
class Patience(Trick):
    """End the training early if it no longer improves.

    Evaluations are compared by the metric of `keep best`, or by `top1` without it. A schedule of the learning rate
    still counts on all epochs.
    """

    epochs: int = integer(help="epochs without a better evaluation", minimum=1, example="5")

    def check(self, plan: PlanView) -> Iterable[str]:
        if self.epochs >= plan.training.epochs - 1:
            yield f"it never ends the training before epoch {plan.training.epochs}, its last"

    def stop(self, history: Sequence[EvaluationResult]) -> bool:
        return since_best([one.score for one in history]) >= self.epochs


def since_best(scores: Sequence[float]) -> int:
    """Return how many evaluations came after the first of the best ones.

    >>> since_best([0.5, 0.7, 0.6, 0.7])
    2
    """
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0
