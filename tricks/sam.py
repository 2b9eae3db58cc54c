"""sam [RADIUS]: sharpness-aware minimization.

Foret et al. 2021, equation 2 and algorithm 1: the gradient is taken approximately where the loss nearby is highest, at
w + RADIUS · g / ‖g‖, with the gradient g at the weights w. Each step computes its batch twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recipe.api import Trick, number, trick
from recipe.tricks._norms import total_norm

if TYPE_CHECKING:
    import torch


@trick(
    "sam",
    position=100,
    writes=("perturbation",),
    known_as=("sharpness-aware", "sharpness-aware-minimization"),
    similar_to=("asam", "gsam"),
)
class Sam(Trick):
    """Find weights whose whole neighborhood has a low loss, using gradients at the worst point nearby."""

    radius: float = number(0.05, "distance to that point, over all weights together", above=0, maximum=100)

    def perturb(self, weights: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        return ascent(gradients, self.radius)


def ascent(gradients: Sequence[torch.Tensor], radius: float) -> Sequence[torch.Tensor]:
    """Return steps along the gradients with a joint norm of ``radius``."""
    import torch

    return torch._foreach_mul(list(gradients), radius / (total_norm(gradients) + 1e-12))
