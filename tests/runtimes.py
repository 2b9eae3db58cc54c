"""Runtimes for tests."""

from __future__ import annotations

from pathlib import Path

import torch

from recipe.devices.precision import NAMES, Precision
from recipe.training.runtime import Runtime


class InFormat(Runtime):
    """A runtime with a fixed precision and loss scaling, regardless of the recipe and the device."""

    def __init__(self, dtype: torch.dtype, scaled: bool) -> None:
        self.dtype, self.scaled = dtype, scaled

    def precision(self, asked: str, device: torch.device, strict: bool) -> Precision:
        return Precision(NAMES[self.dtype], self.dtype, self.scaled, device)


class Undrawn(Runtime):
    """A runtime that draws no curves."""

    def draw(self, folder: Path) -> None: ...
