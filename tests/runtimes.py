"""Runtimes for trainings of the tests."""

from __future__ import annotations

from pathlib import Path

import torch

from recipe.devices.precision import NAMES, Precision
from recipe.training.runtime import Runtime


class InFormat(Runtime):
    """A runtime that computes in a number format, with a loss scaler or without, whatever the recipe and the device."""

    def __init__(self, dtype: torch.dtype, scaled: bool) -> None:
        self.dtype, self.scaled = dtype, scaled

    def precision(self, asked: str, device: torch.device, strict: bool) -> Precision:
        return Precision(NAMES[self.dtype], self.dtype, self.scaled, device)


class Undrawn(Runtime):
    """A runtime that draws no curves."""

    def draw(self, folder: Path) -> None: ...
