"""ema DECAY: evaluate an exponential moving average of the weights. Polyak and Juditsky 1992; Tan and Le 2019."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from recipe.api import Progress, Trick, number, trick

if TYPE_CHECKING:
    import torch

    from recipe.api import PlanView


@trick(
    "ema",
    position=200,
    writes=("average",),
    known_as=(
        "model-ema",
        "weight-ema",
        "exponential-moving-average",
        "moving-average",
        "weight-averaging",
        "polyak",
        "polyak-averaging",
    ),
    similar_to=("swa", "stochastic-weight-averaging", "lookahead"),
)
class Ema(Trick):
    """Maintain a moving average of the weights and running statistics, which is evaluated and saved as the model.

    After update t, the decay is min(DECAY, (1 + t) / (10 + t)), so that the initial weights quickly lose influence.
    """

    decay: float = number(0.9999, "fraction of the average that each update keeps", minimum=0, below=1)

    def check(self, plan: PlanView) -> Iterable[str]:
        if not self.decay:
            yield "nothing is averaged: with a decay of 0, the average is equal to the weights"

    def average(self, averages: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], progress: Progress) -> None:
        import torch

        kept = min(self.decay, (1 + progress.step) / (10 + progress.step))
        torch._foreach_lerp_(list(averages), list(weights), 1 - kept)
