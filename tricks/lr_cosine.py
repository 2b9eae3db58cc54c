"""lr … cosine: cosine decay.

He et al. 2019, section 5.1 (Loshchilov and Hutter 2017): rate · (1 + cos(tπ / T)) / 2, where t and T count batches
after the warmup.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Progress, Trick, number, trick
from recipe.tricks._paper import stacked

if TYPE_CHECKING:
    from recipe.api import Evidence, PlanView


@trick(
    "lr cosine",
    position=120,
    writes=("schedule",),
    implied=True,
    known_as=("cosine-annealing", "cosine-decay", "cosine-lr", "cosineannealinglr", "cosine-schedule"),
    similar_to=("one-cycle", "onecyclelr", "poly", "polynomial", "linear-decay", "warm-restarts", "sgdr"),
)
class Cosine(Trick):
    """Decay the learning rate along half a cosine, from the end of the warmup to the end of the training."""

    floor: float = number(0.0, "final rate as a fraction of the base rate", minimum=0, maximum=1)

    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
        return stacked(plan, "efficient", "cosine", "cosine decay")

    def lr_factor(self, progress: Progress) -> float:
        return self.floor + (1 - self.floor) * cosine(progress.after_warmup)


def cosine(done: float) -> float:
    """Return the factor of the learning rate when a fraction of the training is done.

    >>> [round(cosine(part), 3) for part in (0, 0.25, 0.5, 1)]
    [1.0, 0.854, 0.5, 0.0]
    """
    return (1 + math.cos(math.pi * done)) / 2
