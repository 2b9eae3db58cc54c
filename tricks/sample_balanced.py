"""sample balanced [power=P]: use images of rare classes more often.

Mahajan et al. 2018 ("Exploring the limits of weakly supervised pretraining") and Kang et al. 2020 ("Decoupling
representation and classifier"): classes are drawn by their counts to the power of a number from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Trick, number, trick

if TYPE_CHECKING:
    from recipe.api import Draws, Indices, PlanView


@trick(
    "sample balanced",
    position=44,
    writes=("order",),
    known_as=("oversample", "oversampling", "class-balance", "weighted-sampler"),
)
class Balanced(Trick):
    """Let each class have the same share of the images of an epoch, or a share that is closer to the same.

    An epoch still has as many images as there are. Those of rare classes occur several times, each time augmented with
    other draws, and some of those of frequent classes are left out of an epoch. Images of a class are used equally
    often, to within one time in each epoch.
    """

    power: float = number(
        0, "a class with n images has a share in proportion to n to this power; 1 changes nothing", minimum=0, maximum=1
    )

    def check(self, plan: PlanView) -> Iterable[str]:
        if self.power == 1:
            yield "nothing is balanced: with a power of 1, each class keeps its share"

    def epoch_order(self, labels: Indices, draws: Draws) -> Indices:
        import numpy as np

        drawn = draws.uniform(2)
        shuffled = np.argsort(drawn[:, 0], kind="stable")
        images = [shuffled[labels[shuffled] == label] for label in np.unique(labels)]
        shares = np.array([len(own) for own in images]) ** self.power
        ends = np.rint(np.cumsum(shares) / shares.sum() * len(labels)).astype(np.int64)
        chosen = [np.resize(own, count) for own, count in zip(images, np.diff(ends, prepend=0), strict=True)]
        order: Indices = np.concatenate(chosen)[np.argsort(drawn[:, 1], kind="stable")]
        return order
