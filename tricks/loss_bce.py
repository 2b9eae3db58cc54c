"""loss bce: binary cross entropy for each class, instead of cross entropy over all classes.

Wightman et al. 2021 ("ResNet strikes back"): an image may show several objects, for example after mixup. With a
threshold, targets above it count as 1 and all others as 0. The threshold applies to targets after `loss smooth`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Trick, choice, number, trick

if TYPE_CHECKING:
    import torch

    from recipe.api import PlanView


@trick(
    "loss bce",
    position=150,
    reads=("targets", "mix"),
    writes=("loss",),
    known_as=("bce-loss", "binary-cross-entropy", "bce-with-logits", "sigmoid-loss"),
)
class BinaryCrossEntropy(Trick):
    """Minimize the binary cross entropy of each class, treating every class as a separate yes-or-no question."""

    reduction: str = choice("mean", "reduction over the classes", of=("mean", "sum"))
    threshold: float | None = number(None, "targets above it count as 1, all others as 0", minimum=0, below=1)

    def check(self, plan: PlanView) -> Iterable[str]:
        if self.threshold is not None and not (plan.hooked("smooth_targets") or plan.hooked("mix")):
            yield "the threshold has no effect: without smoothing or mixing, targets are already 0 or 1"

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        loss = binary_cross_entropy(logits, targets, self.threshold)
        return loss * logits.shape[1] if self.reduction == "sum" else loss


def binary_cross_entropy(logits: torch.Tensor, targets: torch.Tensor, threshold: float | None = None) -> torch.Tensor:
    """Return the mean binary cross entropy of logits (N, K) and targets (N, K), which a threshold rounds to 0 or 1."""
    import torch.nn.functional as F

    if threshold is not None:
        targets = (targets > threshold).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, targets)
