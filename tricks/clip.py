"""clip NORM: gradient clipping. Pascanu et al. 2013, algorithm 1, over the gradients of all weights together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recipe.api import Progress, Trick, number, trick
from recipe.tricks._norms import total_norm

if TYPE_CHECKING:
    import torch


@trick("clip", position=110, writes=("grads",))
class Clip(Trick):
    """Scale the gradients down where their norm, over all weights together, is greater than NORM."""

    norm: float = number(help="largest norm that is left as it is", above=0)

    def adjust(
        self, gradients: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], progress: Progress
    ) -> Sequence[torch.Tensor]:
        return clip(gradients, self.norm)


def clip(gradients: Sequence[torch.Tensor], norm: float) -> Sequence[torch.Tensor]:
    """The gradients, in place, times norm / ‖gradients‖ where that is below 1; the device is not waited for."""
    import torch

    factor = (norm / (total_norm(gradients) + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(list(gradients), factor)
    return gradients
