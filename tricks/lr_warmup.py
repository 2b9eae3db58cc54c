"""lr … warmup E: linear warmup over the first epochs.

He et al. 2019, section 3.1 (Goyal et al. 2017): the rate is i · rate / m at batch i, counted from 1, of a warmup of m
batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import Progress, Training, Trick, number, trick
from recipe.tricks._paper import cumulative

if TYPE_CHECKING:
    from recipe.api import Evidence, PlanView


@trick(
    "lr warmup",
    position=120,
    writes=("lr",),
    implied=True,
    known_as=("warmup-epochs", "linear-warmup", "gradual-warmup", "lr-warmup-epochs"),
    similar_to=("warmup-steps", "warmup-ratio"),
)
class Warmup(Trick):
    """Raise the learning rate linearly from zero over the first epochs, batch by batch."""

    epochs: float = number(help="length of the warmup, in epochs", minimum=0, maximum=100_000, example="5")

    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
        return cumulative(plan, "linear scaling", "warmup") if plan.find("lr per") else ()

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"warmup": self.epochs}

    def check(self, plan: PlanView) -> Iterable[str]:
        if self.epochs >= plan.training.epochs:
            yield (
                f"the warmup until epoch {self.epochs:g} covers the entire training, which ends at epoch "
                f"{plan.training.epochs}: the learning rate only rises"
            )

    def lr_factor(self, progress: Progress) -> float:
        return warmup(progress.step, self.epochs * progress.steps_per_epoch)


def warmup(step: int, steps: float) -> float:
    """Return the factor of the learning rate at a step, counted from 0, of a warmup with ``steps`` steps.

    >>> [warmup(step, 4) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    return min(1.0, (step + 1) / steps) if steps > 0 else 1.0
