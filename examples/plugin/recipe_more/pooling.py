"""The module that `head gem` puts into a model."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GeneralisedMean(nn.Module):
    """Generalised mean pooling: the mean over all places of x to the power p, to the power 1 / p.

    Features (N, C, H, W) become (N, C, 1, 1). A power of 1 is average pooling, and the larger it is, the nearer it
    comes to max pooling; it is one number for all channels, and trains with the model. ``start`` is what it began as.
    """

    def __init__(self, power: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps, self.start = eps, float(power)
        self.power = nn.Parameter(torch.full((1,), float(power)))

    def forward(self, features: Tensor) -> Tensor:
        powers = features.float().clamp(min=self.eps).pow(self.power)
        return powers.mean((2, 3), keepdim=True).pow(1 / self.power).to(features.dtype)
