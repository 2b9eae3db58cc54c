"""Small finished runs to export in tests, and ways to run an export without recipe installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.training.helpers import train

SHORT = "batch 8; epochs 1; lr 0.01"
FAKE = f"data fake size=32 classes=10 images=8; {SHORT}"
"""One step of eight images."""

Trained = Callable[[str], Path]
"""Return the folder of a recipe's finished run, which all tests of a module share."""

SERVE = """
import importlib.util, sys

class NoRecipe:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "recipe":
            raise ImportError("recipe is not available here")

sys.meta_path.insert(0, NoRecipe())
import torch
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
for line in sys.stdin:
    script, exchanged = line.rstrip().split("|")
    try:
        spec = importlib.util.spec_from_file_location("exported", script)
        exported = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(exported)
        with torch.inference_mode():
            logits = exported.load()(load_file(exchanged)["images"])
        assert not any(name.partition(".")[0] == "recipe" for name in sys.modules)
        save_file({"logits": logits}, exchanged)
        print("done", flush=True)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}".replace("\\n", " "), flush=True)
"""


def alone(*arguments: object, cwd: Path) -> str:
    """Run Python isolated from its folder and the environment, and return its output."""
    call = [sys.executable, "-I", *map(str, arguments)]
    done = subprocess.run(call, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Lonely:
    """A process that can't import recipe and computes the logits of exported source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        call = [sys.executable, "-I", "-c", SERVE]
        self.process = subprocess.Popen(call, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def logits(self, script: Path, images: Tensor) -> Tensor:
        exchanged = self.folder / "exchanged.safetensors"
        save_file({"images": images}, exchanged)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{script.resolve()}|{exchanged.resolve()}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"
        return load_file(exchanged)["logits"]

    def end(self) -> None:
        self.process.communicate()


def own_logits(model: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return model.eval()(images)


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


def off(found: Tensor, expected: Tensor) -> float:
    """The largest difference, in units of the largest logit."""
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())


def onnx_logits(path: Path, images: Tensor) -> Tensor:
    """Return the logits that onnxruntime computes with an exported file."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(["logits"], {"images": images.numpy()})
    return torch.from_numpy(np.asarray(found))


__all__ = ["FAKE", "SHORT", "Lonely", "alone", "images", "off", "onnx_logits", "own_logits", "train"]
