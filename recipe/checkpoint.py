"""Checkpoints: written whole or not at all, loaded without running any of their code."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recipe.files import write

KEEP = 2
"""How many checkpoints a run keeps."""


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Save a checkpoint, then remove all but the newest few."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:09d}.pt"
    packed = io.BytesIO()  # in memory first: what fails later is the disk, and nothing else
    torch.save(state, packed)
    write(path, lambda file: file.write(packed.getbuffer()))
    for stale in folder.glob(".step-*"):  # of a process that was killed while it wrote
        stale.unlink(missing_ok=True)
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
            if state["step"] >= 0 and state["digest"]:
                return state
        except Exception:  # whatever is wrong with it, the one before may be sound
            continue
    return None


def save_weights(path: Path, weights: dict[str, Tensor], digest: str) -> None:
    """Save a state dict as safetensors, with the digest of the plan that it belongs to."""
    from safetensors.torch import save as packed

    data = packed({name: t.detach().cpu().contiguous().clone() for name, t in weights.items()}, {"digest": digest})
    write(path, lambda file: file.write(data))
