"""Numbers that a trick brings along, where its images are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def beside(images: torch.Tensor, values: Sequence[Any]) -> torch.Tensor:
    """Numbers as a tensor of the images' dtype, on their device, which is not waited for."""
    import torch

    return torch.tensor(values, dtype=images.dtype).to(images.device, non_blocking=True)
