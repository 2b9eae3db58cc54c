"""The memory format in which a model computes."""

from __future__ import annotations

import torch
from torch import Tensor

from recipe.plugins.settings import Training


def memory_format(training: Training) -> torch.memory_format:
    """Return the memory format of a run's model."""
    return torch.channels_last if training.channels_last else torch.contiguous_format


def laid_out(inputs: Tensor, training: Training) -> Tensor:
    """Return inputs (N, 3, H, W) in the memory format of a run's model."""
    return inputs.contiguous(memory_format=torch.channels_last) if training.channels_last else inputs
