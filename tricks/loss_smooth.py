"""loss smooth ε: label smoothing.

He et al. 2019, section 5.2 (Szegedy et al. 2016): the true class gets 1 − ε and each of the K − 1 others ε / (K − 1).
GluonCV and torch spread ε over all K classes: 1 − ε + ε / K and ε / K.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Trick, choice, number, trick
from recipe.tricks._paper import stacked

if TYPE_CHECKING:
    import torch

    from recipe.api import Evidence, PlanView


@trick(
    "loss smooth",
    position=150,
    writes=("targets",),
    implied=True,
    known_as=("label-smoothing", "smoothing", "label-smooth", "smooth-labels"),
)
class Smooth(Trick):
    """Take some of the probability of the true class and spread it over other classes."""

    epsilon: float = number(0.1, "probability to spread", minimum=0, below=1)
    over: str = choice(
        "others",
        "classes to spread it over: all except the true one, or all",
        of=("others", "all"),
        dialects={"gluoncv": "all", "torchvision": "all"},
    )

    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
        return stacked(plan, "cosine", "smooth", "label smoothing")

    def smooth_targets(self, targets: torch.Tensor) -> torch.Tensor:
        return smooth(targets, self.epsilon, self.over == "others")


def smooth(targets: torch.Tensor, epsilon: float, others: bool = True) -> torch.Tensor:
    """Smooth distributions (N, K). ``others`` spreads the probability over the K − 1 other classes only."""
    classes = targets.shape[1]
    share = epsilon / (classes - 1) if others else epsilon / classes
    kept = 1 - epsilon - share if others else 1 - epsilon
    return targets * kept + share
