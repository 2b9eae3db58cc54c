"""Partners in a batch; what mixup and CutMix share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from recipe.api import Floats


def partners(images: int) -> torch.Tensor:
    """The partner of each image (N,): neighbours are partners, and an odd last image is its own.

    Since an epoch's order is random, so is the partner; and it is the same however a batch is cut at even places.
    """
    import torch

    return (torch.arange(images) ^ 1).clamp(max=images - 1)


def of_pairs(drawn: Floats) -> Floats:
    """Draws (N, …) of which the partners of a pair have the same: those of the first of them."""
    import numpy as np

    return drawn[np.arange(len(drawn)) // 2 * 2]
