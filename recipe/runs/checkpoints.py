"""Checkpoints: written whole or not at all, checked when they are read, loaded without running any of their code."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recipe.base.errors import fail
from recipe.base.files import write
from recipe.base.wording import system_reason


def save(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Save a checkpoint; when it is on the disk, remove all but the newest few."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:09d}.pt"
    packed = io.BytesIO()  # in memory first: what fails later is the disk, and nothing else
    torch.save(state, packed)
    for stale in folder.glob(".step-*"):  # of a process that was killed while it wrote
        stale.unlink(missing_ok=True)
    write(path, lambda file: file.write(packed.getbuffer()))
    saved = sorted(folder.glob("step-*.pt"))
    at = saved.index(path) + 1
    for old in (*saved[:at][:-keep], *saved[at:]):  # later ones are of a training that began anew
        old.unlink(missing_ok=True)
    return path


def _newest(folder: Path) -> Iterator[Path]:
    yield from sorted((path for path in folder.glob("step-*.pt") if path.is_file()), reverse=True)


def read(folder: Path) -> tuple[bytes | None, list[Path]]:
    """The bytes of the newest checkpoint that is sound, and the paths of newer ones that are not.

    Those are put aside, as ``step-….pt.unreadable``, so that they are never taken for the newest again.
    """
    unsound: list[Path] = []
    for path in _newest(folder):
        try:
            packed = path.read_bytes()
            unpack(packed, torch.device("cpu"))
            return packed, unsound
        except Exception as error:  # whatever is wrong with it, the one before may be sound
            if isinstance(error, (OSError, MemoryError)) or "can't allocate" in str(error):  # which says nothing of it
                reason = system_reason(error) if isinstance(error, OSError) else "there is too little memory"
                raise fail("E001", f"the checkpoint `{path}` can't be read: {reason}") from error
            aside = path.with_name(f"{path.name}.unreadable")
            path.replace(aside)
            unsound.append(aside)
    return None, unsound


def unpack(packed: bytes, device: torch.device) -> dict[str, Any]:
    """The state in a checkpoint's bytes; every checksum must be right, and none of its code is run."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("compressed, which torch never does")
        if (wrong := archive.testzip()) is not None:
            raise ValueError(f"its part {wrong} is damaged")
    state = torch.load(io.BytesIO(packed), map_location=device, weights_only=True)
    if not isinstance(state, dict) or not SHAPE.keys() <= state.keys():
        raise ValueError("no checkpoint of a training")
    for name, kind in SHAPE.items():
        if not isinstance(state[name], kind):
            raise ValueError(f"its {name} is no {kind}")
    if state["step"] < 0 or state["steps_per_epoch"] < 1 or not state["digest"]:
        raise ValueError("a step that can't be")
    for name, tensor in {**state["model"], **(state["average"] or {})}.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ValueError("its model is no state dict")
        if not tensor.isfinite().all():
            raise ValueError(f"its {name} is not finite")
    for meter in state["meters"] or [None]:
        if not isinstance(meter, dict) or meter.keys() != {"loss", "correct", "images"}:
            raise ValueError("its meters are none")
    if not all(isinstance(one, list) and len(one) == 3 for one in state["skipped"]):
        raise ValueError("its skipped images are none")
    return state


SHAPE: dict[str, Any] = {
    "digest": str,
    "step": int,
    "steps_per_epoch": int,
    "training_images": int,
    "micro": (int, type(None)),
    "model": dict,
    "optimizer": dict,
    "optimizer_kind": str,
    "scaler": dict,
    "average": (dict, type(None)),
    "meters": list,
    "evaluated": bool,
    "skipped": list,
    "notes": list,
}
"""What a checkpoint holds, and of which kind each is."""


def packed(weights: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """A safetensors file of a state dict, with some text beside it."""
    from safetensors.torch import save as pack

    return pack({name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}, metadata)


def save_weights(path: Path, weights: dict[str, Tensor], digest: str) -> None:
    """Save a state dict as safetensors, with the digest of the plan that it belongs to."""
    data = packed(weights, {"digest": digest})
    write(path, lambda file: file.write(data))
