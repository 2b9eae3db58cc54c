"""Pairs of images within a batch, shared by mixup and CutMix."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from recipe.api import Floats


def partners(images: int) -> torch.Tensor:
    """Return the partner of each image (N,): neighbors are partners, and an odd last image is its own.

    Partners are random because the order of an epoch is. Splitting a batch at an even position keeps them together.
    """
    import torch

    return (torch.arange(images) ^ 1).clamp(max=images - 1)


def of_pairs(drawn: Floats) -> Floats:
    """Return draws (N, …) in which both images of each pair share the draws of the first."""
    import numpy as np

    return drawn[np.arange(len(drawn)) // 2 * 2]
