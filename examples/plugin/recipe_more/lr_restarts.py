"""lr … restarts [CYCLES]: a cosine schedule with warm restarts. SGDR, Loshchilov and Hutter 2017."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Progress, Trick, integer, number, trick

if TYPE_CHECKING:
    from recipe.api import PlanView


@trick("lr restarts", writes=("schedule",))
class Restarts(Trick):
    """Decay the learning rate along half a cosine several times, each time starting from the base rate."""

    api_version = 1

    cycles: int = integer(2, "number of decays", minimum=1, maximum=1000)
    ratio: float = number(2.0, "length of each cycle relative to the previous one", minimum=1, maximum=10)

    def check(self, plan: PlanView) -> Iterable[str]:
        if self.cycles > plan.training.epochs:
            yield f"{self.cycles} cycles in {plan.training.epochs} epochs: some cycles are shorter than an epoch"

    def lr_factor(self, progress: Progress) -> float:
        return restarts(progress.after_warmup, self.cycles, self.ratio)


def restarts(done: float, cycles: int, ratio: float) -> float:
    """Return the factor of the learning rate when a fraction of the training, from 0 to 1, is done.

    >>> [round(restarts(done, 2, 1.0), 3) for done in (0, 0.25, 0.5, 0.75, 1)]
    [1.0, 0.5, 1.0, 0.5, 0.0]
    """
    lengths = [ratio**cycle for cycle in range(cycles)]
    place = done * sum(lengths)
    for length in lengths[:-1]:
        if place < length:
            break
        place -= length
    else:
        length = lengths[-1]
    return 0.5 * (1 + math.cos(math.pi * min(1.0, place / length)))
