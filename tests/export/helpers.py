"""Finished runs small enough to export in tests, and how an export is run where there is no recipe."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.engine.helpers import train

SHORT = "batch 8; epochs 1; lr 0.05"
FAKE = f"data fake size=32 classes=10 images=8; {SHORT}"
"""One step of eight images."""

Trained = Callable[[str], Path]
"""From a recipe to the folder of its finished run, the same for all tests of a module."""

ALONE = """
import importlib.util, sys

class NoRecipe:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "recipe":
            raise ImportError("there is no recipe here")

sys.meta_path.insert(0, NoRecipe())
import torch
from safetensors.torch import load_file, save_file

spec = importlib.util.spec_from_file_location("exported", sys.argv[1])
exported = importlib.util.module_from_spec(spec)
spec.loader.exec_module(exported)
with torch.inference_mode():
    logits = exported.load()(load_file(sys.argv[2])["images"])
assert not any(name.partition(".")[0] == "recipe" for name in sys.modules)
save_file({"logits": logits}, sys.argv[2])
"""


def alone(*arguments: object, cwd: Path) -> str:
    """Run Python that sees neither its folder nor the environment; gives what it prints."""
    call = [sys.executable, "-I", *map(str, arguments)]
    done = subprocess.run(call, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def logits_alone(script: Path, images: Tensor, folder: Path) -> Tensor:
    """What exported source gives in a process that can't import recipe, started in another folder."""
    exchanged = folder / "exchanged.safetensors"
    save_file({"images": images}, exchanged)
    alone("-c", ALONE, script.resolve(), exchanged.resolve(), cwd=folder)
    return load_file(exchanged)["logits"]


def own_logits(model: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return model.eval()(images)


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


def off(found: Tensor, expected: Tensor) -> float:
    """The largest difference, in units of the largest logit."""
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())


__all__ = ["FAKE", "SHORT", "alone", "images", "logits_alone", "off", "own_logits", "train"]
