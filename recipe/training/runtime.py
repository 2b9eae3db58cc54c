"""The operations of a run that do not depend on its recipe. Tests of training pass another `Runtime`."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from recipe.base.errors import fail
from recipe.base.wording import reason_of
from recipe.devices.precision import Precision, precision
from recipe.inference.batches import Batch, Loaded, load
from recipe.runs import checkpoints
from recipe.runs.state import TrainingState
from recipe.training.parts import parts
from recipe.training.reporting import pictures


class Runtime:
    """The operations a run uses to choose a precision, compile, load images, split batches and write files."""

    def precision(self, asked: str, device: torch.device, strict: bool) -> Precision:
        """Return the precision that a device computes in. See `recipe.devices.precision.precision`."""
        return precision(asked, device, strict)

    def compile(self, model: nn.Module, mode: str | None, dynamic: bool | None) -> Any:
        """Compile a model with `torch.compile`."""
        return torch.compile(model, mode=mode, dynamic=dynamic)

    def load(self, dataset: Dataset[Loaded], steps: Iterable[int], workers: int, pin: bool) -> Iterator[Batch]:
        """Yield batches by index. See `recipe.inference.batches.load`."""
        return load(dataset, steps, workers, pin)

    def parts(
        self, inputs: Tensor, targets: Tensor, micro: int | None, even: int | None
    ) -> list[tuple[Tensor, Tensor]]:
        """Split a batch (N, 3, H, W) and its targets into micro-batches. See `recipe.training.parts.parts`."""
        return parts(inputs, targets, micro, even)

    def save(self, folder: Path, state: TrainingState, keep: int) -> None:
        """Save a checkpoint, and keep only the newest. See `recipe.runs.checkpoints.save`."""
        checkpoints.save(folder, state, keep)

    def draw(self, folder: Path) -> str:
        """Plot the curves of a finished run to its folder. Return a warning if that fails, or else an empty string."""
        return pictures(folder)


@contextlib.contextmanager
def compiling() -> Iterator[None]:
    """A context for running a compiled model, forward or backward. Reports a failure to compile as E114.

    torch compiles a graph when it is first needed: the backward graph in the first backward pass.
    """
    try:
        yield
    except torch._dynamo.exc.TorchDynamoException as error:
        reason = reason_of(error)
        help = "install a C++ compiler, which `compile` needs on a CPU, or train without it: `drop compile`"
        raise fail("E114", f"torch.compile failed: {reason}", help=help) from error


def set_seed(seed: int, device: torch.device) -> None:
    """Seed torch's random numbers on the CPU and on GPUs. `torch.manual_seed` is slower: it seeds all devices."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)


def step_seed(seed: int, step: int, rank: int) -> int:
    """Return the seed of torch's random numbers in a step. Each process has its own."""
    key = f"step/{seed}/{step}" + (f"/{rank}" if rank else "")
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big")
