"""lr RATE: the base learning rate, which other clauses of `lr` scale. The paper uses 0.1 for a batch of 256."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import Training, Trick, choice, number, trick

if TYPE_CHECKING:
    from recipe.api import PlanView


@trick(
    "lr",
    position=120,
    known_as=("learning-rate", "base-lr", "lr0", "eta", "sched", "scheduler", "schedule", "lr-scheduler"),
)
class Rate(Trick):
    """Set the base learning rate, and whether the schedule updates it every batch or every epoch."""

    rate: float = number(0.1, "base learning rate", above=0, maximum=1000)
    every: str = choice(
        "batch",
        "when to update the rate",
        of=("batch", "epoch"),
        dialects={"torchvision": "epoch"},
    )

    def check(self, plan: PlanView) -> Iterable[str]:
        use = plan.find("lr")
        stated = use is not None and use.origins["every"].kind in ("file", "override")
        if stated and self.every == "epoch" and not plan.hooked("lr_factor"):
            yield "`every=epoch` has no effect: the learning rate is constant"

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"rate": self.rate, "rate_per_epoch": self.every == "epoch"}
