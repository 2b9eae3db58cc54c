"""Turn images into the inputs of a model."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from recipe.base.channels import GRAY, LUMA


@attrs.frozen(eq=False)
class Normalization:
    """Normalizes RGB images to inputs of mean 0 and standard deviation 1: RGB ones or, with one mean, gray ones."""

    mean: Tensor
    """The mean of each channel: float32 (1, C, 1, 1)."""
    std: Tensor
    """The standard deviation of each channel: float32 (1, C, 1, 1)."""

    @classmethod
    def of(cls, mean: Sequence[float], std: Sequence[float], device: torch.device) -> Normalization:
        """Return the normalization with a mean and a deviation for each channel."""
        return cls(*(torch.tensor(each, dtype=torch.float32).view(1, -1, 1, 1).to(device) for each in (mean, std)))

    @property
    def channels(self) -> int:
        """The number of channels of inputs."""
        return self.mean.shape[1]

    def __call__(self, images: Tensor) -> Tensor:
        """Return the inputs (N, C, H, W) for float32 images (N, 3, H, W) in [0, 1]."""
        return ((gray(images) if self.channels == GRAY else images) - self.mean) / self.std


def gray(images: Tensor) -> Tensor:
    """Return the gray versions (N, 1, H, W) of RGB images (N, 3, H, W)."""
    red, green, blue = (images[:, channel : channel + 1] * part for channel, part in enumerate(LUMA))
    return red + green + blue
