"""The module that `head gem` inserts into a model."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GeneralisedMean(nn.Module):
    """Generalized mean pooling: raise x to the power p, average it over all positions, and raise the mean to 1 / p.

    Features (N, C, H, W) become (N, C, 1, 1). A power of 1 is average pooling, and larger powers approach max pooling.
    The power is a single trainable number for all channels. ``start`` is its initial value.
    """

    def __init__(self, power: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps, self.start = eps, float(power)
        self.power = nn.Parameter(torch.full((1,), float(power)))

    def forward(self, features: Tensor) -> Tensor:
        powers = features.float().clamp(min=self.eps).pow(self.power)
        return powers.mean((2, 3), keepdim=True).pow(1 / self.power).to(features.dtype)
