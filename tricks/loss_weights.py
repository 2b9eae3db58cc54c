"""loss weights [beta=B]: let errors on classes with few images count more.

Cui et al. 2019 ("Class-balanced loss based on effective number of samples"): a class with n images has the weight
(1 − B) / (1 − B^n). For B = 1, its limit is meant: 1 / n.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Trick, number, trick

if TYPE_CHECKING:
    from recipe.api import Floats, Indices, PlanView


@trick("loss weights", position=150, writes=("loss",), known_as=("class-weights", "imbalance", "effective-number"))
class Weights(Trick):
    """Weight the cross entropy of each class by how rare it is in training.

    The average weight of the training images is 1, so the learning rate keeps its meaning. Held-out losses aren't
    weighted.
    """

    beta: float = number(
        1, "1 weights classes in inverse proportion to their images; 0.999 or 0.99 less so", minimum=0, maximum=1
    )

    def check(self, plan: PlanView) -> Iterable[str]:
        if self.beta == 0:
            yield "nothing is weighted: with a beta of 0, all classes count alike"
        elif balanced := plan.hooked("epoch_order"):
            yield f"rare classes count twice: `{balanced[0].word}` also changes how often their images are used"

    def class_weights(self, counts: Indices) -> Floats:
        import numpy as np

        present = np.maximum(counts, 1).astype(np.float64)  # the weight of a class without images has no effect
        weights = 1 / present if self.beta == 1 else (1 - self.beta) / (1 - self.beta**present)
        scaled: Floats = weights * counts.sum() / (weights * counts).sum()
        return scaled
