"""lr … step E…: reduce the learning rate at given epochs. The paper's baseline divides by 10 at epochs 30, 60, 90."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from recipe.api import Progress, Trick, number, numbers, trick

if TYPE_CHECKING:
    from recipe.api import PlanView


@trick(
    "lr step",
    position=120,
    writes=("schedule",),
    known_as=(
        "multistep",
        "multisteplr",
        "milestones",
        "decay-milestones",
        "steplr",
        "step-decay",
        "lr-steps",
        "decay-epochs",
    ),
)
class Step(Trick):
    """Multiply the learning rate by a factor at each of the given epochs."""

    epochs: tuple[float, ...] = numbers(
        help="epochs at which the rate changes, counted from the start", above=0, example="30 60"
    )
    by: float = number(0.1, "factor at each epoch", above=0, below=1)

    def check(self, plan: PlanView) -> Iterable[str]:
        training = plan.training
        last = training.epochs - 1
        by_epoch = training.rate_per_epoch and training.warmup <= last
        late = [epoch for epoch in self.epochs if epoch >= training.epochs or (by_epoch and epoch > last)]
        if late:
            ends = f"with `epochs {training.epochs}`, the training ends before the step at {listed(late)}"
            yield f"{ends}, since the rate changes only between epochs" if late[0] < training.epochs else ends
        for epoch in self.epochs:
            if by_epoch and epoch not in late and epoch > training.warmup and epoch != math.ceil(epoch):
                yield f"the step at {epoch:g} happens at {math.ceil(epoch)}: the rate changes only between epochs"

    def lr_factor(self, progress: Progress) -> float:
        return step(progress.epoch, self.epochs, self.by)


def listed(epochs: Iterable[float]) -> str:
    return ", ".join(f"{epoch:g}" for epoch in epochs)


def step(epoch: float, epochs: Sequence[float], by: float) -> float:
    """Return the factor of the learning rate at an epoch.

    >>> [step(epoch, (30, 60), 0.5) for epoch in (0, 30, 89)]
    [1.0, 0.5, 0.25]
    """
    return float(by ** sum(epoch >= reached for reached in epochs))
