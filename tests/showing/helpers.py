"""Folders of images to show, and the pixels of inputs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from recipe.api import Trick, integer, trick
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


def wrong(root: Path) -> Path:
    """Write a folder in which much is wrong: see `tests.showing.test_look`."""
    folder(root, "cat", "dog", "owl")
    train, val = root / "train", root / "val"
    shutil.rmtree(val / "owl")
    shutil.copy(train / "cat" / "0.png", val / "cat" / "copy.png")
    shutil.copy(train / "cat" / "1.png", train / "dog" / "copy.png")
    (train / "dog" / "0.png").write_bytes(b"")
    (train / "notes.txt").write_text("")
    exif = Image.Exif()
    exif[0x112] = 6
    Image.new("RGB", (20, 30)).save(train / "owl" / "turned.jpg", exif=exif)
    Image.new("RGBA", (640, 480)).save(train / "owl" / "clear.png")
    Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20)).save(train / "owl" / "deep.png")
    Image.new("F", (9, 9)).save(train / "owl" / "float.tif")
    return root


@attrs.frozen(eq=False)
class _Loaded:
    """Images that code of a dataset loads."""

    labels: Tensor
    uniform: bool = True

    def fetch(self, indices: npt.NDArray[np.int64], boxer: Callable[..., object] | None) -> Tensor:
        raise AssertionError("a look at a dataset loads no images")


@trick("data own", position=40, writes=("data",))
class Own(Trick):
    """Images that code of the dataset loads."""

    size: int = integer(32, "side of the images")
    workers: int = integer(0, "processes")

    def open(self) -> Sets:
        return Sets(_Loaded(torch.tensor([0, 0, 1])), _Loaded(torch.tensor([1])), 2)
