"""Constants of tricks, on the device of the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def beside(images: torch.Tensor, values: Sequence[Any]) -> torch.Tensor:
    """Return values as a tensor with the dtype and device of the images, without waiting for the device."""
    import torch

    return torch.tensor(values, dtype=images.dtype).to(images.device, non_blocking=True)
