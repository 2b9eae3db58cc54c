"""What is in the folder of a page before its first block runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import recipe
from tests.helpers import ROOT

FIRST = ROOT / "examples" / "first.recipe"
RUNS = {"first": (), "second": ("lr 0.02",)}
"""The statements that override `first` in each run."""


class Runs:
    """Finished runs, trained once, on few digits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, folder: Path) -> None:
        """Put a run into a folder."""
        trained = self.folder / name
        if not trained.exists():
            recipe.run(FIRST, *RUNS[name], out=trained, device="cpu")
        shutil.copytree(trained, folder / "runs" / name)


def photos(folder: Path, _: Runs) -> None:
    """Write six images of each of two classes for training, and as many for evaluation."""
    pixels = np.random.default_rng(0)
    for split in ("train", "val"):
        for label in ("cat", "dog"):
            images = folder / "photos" / split / label
            images.mkdir(parents=True)
            for number in range(6):
                drawn = pixels.integers(0, 256, (40, 40, 3), dtype=np.uint8)
                Image.fromarray(drawn).save(images / f"{number}.png")


def first(folder: Path, runs: Runs) -> None:
    runs.put("first", folder)


def mine(folder: Path, _: Runs) -> None:
    (folder / "mine.recipe").write_text("base resnet18\ndata digits\nepochs 2\nlr 0.1 warmup 1 cosine\ntweak D\n")


def compared(folder: Path, runs: Runs) -> None:
    mine(folder, runs)
    for name in RUNS:
        runs.put(name, folder)
    (folder / "a.recipe").write_text("base resnet18\ndata digits\nepochs 2\nlr 0.1 cosine\n")
    (folder / "b.recipe").write_text("base resnet18\ndata digits\nepochs 2\nlr 0.1 warmup 1 cosine\ntweak D\n")


def commands(folder: Path, runs: Runs) -> None:
    compared(folder, runs)
    photos(folder, runs)


SCENES: dict[str, Callable[[Path, Runs], None]] = {
    "README.md": photos,
    "docs/guides/ablate.md": mine,
    "docs/guides/compare.md": compared,
    "docs/guides/export.md": first,
    "docs/guides/own-images.md": photos,
    "docs/reference/commands.md": commands,
}
"""The scene of each page that needs one."""
