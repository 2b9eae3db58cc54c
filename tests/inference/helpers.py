"""Small folders of images for tests of trained models."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import recipe
from recipe.inference.run import Run

COLORS = {"blue": (30, 40, 220), "green": (20, 200, 50), "red": (210, 30, 40)}

TEXT = (
    "base squeezenet1_1; data folder {path} size=32 workers=0; batch 4; epochs {epochs}; optimizer adamw; lr 5e-4; "
    "decay 1e-4; drop augment crop; drop loss smooth; drop norm precise"
)


def paint(folder: Path, name: str, count: int, seed: int, sides: tuple[int, int] = (36, 60)) -> None:
    """Write PNG files of a noisy color, each of another size."""
    draw = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        height, width = draw.integers(*sides, size=2)
        pixels = np.clip(np.array(COLORS[name]) + draw.normal(0, 25, (height, width, 3)), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")


def photos(folder: Path, train: int = 16, val: int = 5) -> Path:
    """Write a dataset of three classes of colors with the parts `train` and `val`."""
    for part, count in (("train", train), ("val", val)):
        for label, name in enumerate(COLORS):
            paint(folder / part / name, name, count, 10 * label + (part == "val"))
    return folder


def recipe_of(folder: Path, epochs: int = 6) -> str:
    return TEXT.format(path=f'"{folder}"', epochs=epochs)


def exported(run: Run, folder: Path) -> nn.Module:
    """Export a run as source, and return the model that the source builds, in evaluation mode."""
    recipe.export(run.folder, to="python", out=folder / "colors.py")
    spec = importlib.util.spec_from_file_location("colors", folder / "colors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model: nn.Module = module.load()
    return model.eval()


def outputs_of(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the logits of inputs, in other batches than the run's."""
    with torch.no_grad():
        return torch.cat([model(part) for part in inputs.split(3)])
