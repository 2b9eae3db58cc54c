"""The norm of many tensors together; what clipping and sharpness-aware minimisation share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def total_norm(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """The 2-norm over all elements of all tensors, one number; the tensors are on one device."""
    import torch

    norms = torch.stack(torch._foreach_norm(list(tensors)))
    total: torch.Tensor = torch.linalg.vector_norm(norms)
    return total
