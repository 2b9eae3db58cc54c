"""What is in the folder of a page before its first block runs."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import recipe
from recipe.plugins.vocabulary import Vocabulary
from tests.ablation.helpers import PLUGIN
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


def used(folder: Path, _: Runs) -> None:
    """Train on files with digits that are gone afterwards: a run, the same one when it was stopped, one with a plugin.

    `scans` has two digits of each class.
    """
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    digits = load_digits()
    for label, name in enumerate(names):
        pixels = digits.images[digits.target == label][:7] * 255 / 16
        for number, part in enumerate(("digits/train",) * 4 + ("digits/val",) + ("scans",) * 2):
            path = folder / part / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[number].astype(np.uint8)).resize((32, 32)).save(path)
    small, runs = "base shufflenet_v2_x0_5; init stock; batch 20; epochs 1; lr 0.001", folder / "runs"
    data = f'data folder "{folder / "digits"}" size=32 workers=0'
    recipe.run(small, data, out=runs / "digits", device="cpu")
    shutil.copytree(runs / "digits", runs / "stopped")
    for file in ("summary.json", "model.safetensors"):
        (runs / "stopped" / file).unlink()
    (folder / "dim.py").write_text(PLUGIN.replace("PART", "0.5"), "utf-8")
    with contextlib.chdir(folder):
        vocabulary = Vocabulary.installed([Path("dim.py")])
        recipe.run(small, f"{data}; augment dim", out=runs / "dim", device="cpu", plugins=vocabulary)
    (folder / "dim.py").unlink()
    shutil.rmtree(folder / "digits")


def first(folder: Path, runs: Runs) -> None:
    runs.put("first", folder)


def exported(folder: Path, runs: Runs) -> None:
    first(folder, runs)
    photos(folder, runs)


def mine(folder: Path, _: Runs) -> None:
    (folder / "mine.recipe").write_text("base resnet18\ndata digits\nepochs 2\nlr 0.1 warmup 1 cosine\ntweak D\n")


def compared(folder: Path, runs: Runs) -> None:
    mine(folder, runs)
    for name in RUNS:
        runs.put(name, folder)
    (folder / "a.recipe").write_text("base resnet18\ndata digits\nepochs 2\nlr 0.1 cosine\n")
    (folder / "b.recipe").write_text("base resnet18\ndata digits\nepochs 2\nlr 0.1 warmup 1 cosine\ntweak D\n")


def readme(folder: Path, runs: Runs) -> None:
    photos(folder, runs)
    first(folder, runs)
    shutil.copytree(folder / "photos" / "val", folder / "scans")


def commands(folder: Path, runs: Runs) -> None:
    compared(folder, runs)
    photos(folder, runs)
    shutil.copytree(folder / "photos" / "val", folder / "new")
    data = f'data folder "{folder / "photos"}" size=32 workers=0; batch 4; epochs 1'
    recipe.run(FIRST, data, out=folder / "runs" / "photos", device="cpu")


SCENES: dict[str, Callable[[Path, Runs], None]] = {
    "README.md": readme,
    "docs/guides/ablate.md": mine,
    "docs/guides/compare.md": compared,
    "docs/guides/export.md": exported,
    "docs/guides/from-timm.md": photos,
    "docs/guides/other-datasets.md": photos,
    "docs/guides/own-images.md": photos,
    "docs/guides/use.md": used,
    "docs/reference/commands.md": commands,
}
"""The scene of each page that needs one."""
