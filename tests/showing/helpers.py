"""Folders of images to show, and the pixels of inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from recipe.data.images import Sets

TINY = "base timm:test_resnet; data fake size=32 classes=10 images=24; batch 8; epochs 2"
"""A recipe with three steps per epoch, and three held-out images."""


def folder(root: Path, *classes: str, train: int = 4, val: int = 2, side: int = 40) -> Path:
    """Write PNG files of noise, each with other pixels, for classes with these names."""
    random = np.random.default_rng(0)
    for part, count in (("train", train), ("val", val)):
        for name in classes:
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (side, side + 4 * number, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number}.png")
    return root


def pixels_of(inputs: Tensor, sets: Sets) -> list[npt.NDArray[np.uint8]]:
    """Return the pixels that were normalized to inputs (N, 3, H, W), those out of range clipped."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (sets.mean, sets.std))
    return [*((inputs * std + mean) * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()]
