"""The loader of batches."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset

from recipe.devices.choice import cores
from recipe.inference.batches import Batch, Loaded, load


class Numbered(Dataset[Loaded]):
    def __getitem__(self, step: int) -> Loaded:
        return Batch(torch.zeros(1), torch.zeros(1), np.array([step]), 0, step)


def test_more_workers_than_cores_are_used_without_a_warning() -> None:
    """The recipe asks for them. In tests, a warning is an error."""
    assert [batch.step for batch in load(Numbered(), range(3), cores() + 1, False)] == [0, 1, 2]
