"""Files that are whole or not there: written beside their place, synced, then renamed."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from recipe.diagnostics import fail

KEEP = 2
"""How many checkpoints a run keeps."""


def write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically. Raises `RecipeError` (E111) where there is no room or no permission; nothing is lost then."""
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except (OSError, RuntimeError) as error:  # torch.save raises RuntimeError when the disk is full
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        reason = (getattr(error, "strerror", None) or str(error).split("\n")[0]).lower()
        help = "what was written before is still whole; make room, then go on with --resume"
        raise fail("E111", f"`{path}` can't be written: {reason}", help=help) from error


def write_text(path: Path, text: str) -> None:
    write(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2) + "\n")


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Save a checkpoint, then remove all but the newest few."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:09d}.pt"
    write(path, lambda file: torch.save(state, file))
    for old in sorted(folder.glob("step-*.pt"))[:-KEEP]:
        old.unlink(missing_ok=True)
    return path


def _newest(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob("step-*.pt"), reverse=True)


def load(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """The newest checkpoint that is sound, or None; loading one runs none of its code."""
    for path in _newest(folder):
        try:
            state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
            return state
        except (RuntimeError, EOFError, ValueError, KeyError, OSError, pickle.UnpicklingError):
            continue
    return None


def save_weights(path: Path, weights: dict[str, Tensor], digest: str) -> None:
    """Save a state dict as safetensors, with the digest of the plan that it belongs to."""
    from safetensors.torch import save as packed

    data = packed({name: t.detach().cpu().contiguous().clone() for name, t in weights.items()}, {"digest": digest})
    write(path, lambda file: file.write(data))
