"""clip NORM: gradient clipping. Pascanu et al. 2013, algorithm 1, with the joint norm of all gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recipe.api import Progress, Trick, number, trick
from recipe.tricks._norms import total_norm

if TYPE_CHECKING:
    import torch


@trick(
    "clip",
    position=110,
    writes=("grads",),
    known_as=(
        "clip-grad",
        "grad-clip",
        "clip-grad-norm",
        "gradient-clipping",
        "gradient-clip",
        "grad-norm",
        "max-grad-norm",
        "gradient-clip-val",
        "clipping",
    ),
    similar_to=("agc",),
)
class Clip(Trick):
    """Scale the gradients down if their joint norm over all weights exceeds NORM."""

    norm: float = number(help="largest allowed norm", above=0, example="1")

    def adjust(
        self, gradients: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], progress: Progress
    ) -> Sequence[torch.Tensor]:
        return clip(gradients, self.norm)


def clip(gradients: Sequence[torch.Tensor], norm: float) -> Sequence[torch.Tensor]:
    """Scale the gradients in place by norm / ‖gradients‖ if that is below 1, without waiting for the device."""
    import torch

    factor = (norm / (total_norm(gradients) + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(list(gradients), factor)
    return gradients
