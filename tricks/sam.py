"""sam [RADIUS]: sharpness-aware minimisation.

Foret et al. 2021, equation 2 and algorithm 1: the gradient of an update is taken where the loss is about the highest
nearby, at w + RADIUS · g / ‖g‖, with the gradient g at the weights w. Each step computes every batch twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recipe.api import Trick, number, trick
from recipe.tricks._norms import total_norm

if TYPE_CHECKING:
    import torch


@trick("sam", position=100, writes=("perturbation",))
class Sam(Trick):
    """Look for weights whose whole neighbourhood has a low loss: take gradients at the steepest place around them."""

    radius: float = number(0.05, "distance of that place, over all weights together", above=0, maximum=100)

    def perturb(self, weights: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        return ascent(gradients, self.radius)


def ascent(gradients: Sequence[torch.Tensor], radius: float) -> Sequence[torch.Tensor]:
    """Steps along the gradients, of a length of ``radius`` over all of them."""
    import torch

    return torch._foreach_mul(list(gradients), radius / (total_norm(gradients) + 1e-12))
