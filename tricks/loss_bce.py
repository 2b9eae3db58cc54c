"""loss bce: binary cross entropy of each class by itself, in place of cross entropy over all of them.

Wightman et al. 2021 ("ResNet strikes back"): an image may show several things, as after mixup; targets
above a threshold count as 1 then, the others as 0. With `loss smooth` it is the smoothed targets that are judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipe.api import Trick, choice, number, trick

if TYPE_CHECKING:
    import torch


@trick("loss bce", position=150, reads=("targets", "mix"), writes=("loss",))
class BinaryCrossEntropy(Trick):
    """Minimise the binary cross entropy of each class, so that every class is a question of its own."""

    reduction: str = choice("mean", "what is taken over the classes", of=("mean", "sum"))
    threshold: float | None = number(None, "targets above it count as 1, the others as 0", minimum=0, below=1)

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        loss = binary_cross_entropy(logits, targets, self.threshold)
        return loss * logits.shape[1] if self.reduction == "sum" else loss


def binary_cross_entropy(logits: torch.Tensor, targets: torch.Tensor, threshold: float | None = None) -> torch.Tensor:
    """Mean binary cross entropy of logits (N, K) against targets (N, K), which a threshold makes 0 or 1."""
    import torch.nn.functional as F

    if threshold is not None:
        targets = (targets > threshold).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, targets)
