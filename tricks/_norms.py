"""The joint norm of many tensors, shared by clipping and sharpness-aware minimization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def total_norm(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the 2-norm over all elements of all tensors, which must be on the same device, as a scalar."""
    import torch

    norms = torch.stack(torch._foreach_norm(list(tensors)))
    total: torch.Tensor = torch.linalg.vector_norm(norms)
    return total
