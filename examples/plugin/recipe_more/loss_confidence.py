"""loss confidence [WEIGHT]: a penalty on confident predictions. Pereyra et al. 2017, section 3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipe.api import Trick, number, trick

if TYPE_CHECKING:
    import torch

    from recipe.api import LossContext


@trick("loss confidence", reads=("targets", "mix"), writes=("loss terms",))
class Confidence(Trick):
    """Subtract a fraction of the entropy of the predicted distribution from the loss."""

    api_version = 1

    weight: float = number(0.1, "fraction of the entropy to subtract", minimum=0, maximum=10)

    def loss_term(self, context: LossContext) -> torch.Tensor:
        return -self.weight * entropy(context.logits)


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Return the mean entropy, in nats, of the distributions given by logits (N, K)."""
    import torch.nn.functional as F

    logarithms = F.log_softmax(logits, dim=1)
    return -(logarithms.exp() * logarithms).sum(1).mean()
