"""Checkpoints: written whole or not at all, checked when they are read, loaded without running any of their code."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from recipe.base.errors import fail
from recipe.base.files import write
from recipe.base.wording import system_reason
from recipe.runs.state import OtherVersion, TrainingState


def save(folder: Path, state: TrainingState, keep: int) -> Path:
    """Save a checkpoint; when it is on the disk, remove all but the newest few."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{state.step:09d}.pt"
    packed = io.BytesIO()  # in memory first: what fails later is the disk, and nothing else
    torch.save(state.to_dict(), packed)
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

    Those are put aside, as ``step-….pt.unreadable``, so that they are never taken for the newest again. A
    checkpoint with a schema of another version is refused (E113), and left where it is.
    """
    unsound: list[Path] = []
    for path in _newest(folder):
        try:
            packed = path.read_bytes()
            unpack(packed, torch.device("cpu"))
            return packed, unsound
        except OtherVersion as error:
            help = "resume with the release that wrote it, or name another --out"
            raise fail("E113", f"the checkpoint `{path}` {error}", help=help) from error
        except Exception as error:  # whatever is wrong with it, the one before may be sound
            if isinstance(error, (OSError, MemoryError)) or "can't allocate" in str(error):  # which says nothing of it
                reason = system_reason(error) if isinstance(error, OSError) else "there is too little memory"
                raise fail("E001", f"the checkpoint `{path}` can't be read: {reason}") from error
            aside = path.with_name(f"{path.name}.unreadable")
            path.replace(aside)
            unsound.append(aside)
    return None, unsound


def unpack(packed: bytes, device: torch.device) -> TrainingState:
    """The state in a checkpoint's bytes; every checksum must be right, and none of its code is run.

    Raises `OtherVersion` where its schema is of another version, and any exception where it is not sound.
    """
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("compressed, which torch never does")
        if (wrong := archive.testzip()) is not None:
            raise ValueError(f"its part {wrong} is damaged")
    return TrainingState.from_dict(torch.load(io.BytesIO(packed), map_location=device, weights_only=True))


def packed(weights: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """A safetensors file of a state dict, with some text beside it."""
    from safetensors.torch import save as pack

    return pack({name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}, metadata)


def save_weights(path: Path, weights: dict[str, Tensor], digest: str) -> None:
    """Save a state dict as safetensors, with the digest of the plan that it belongs to."""
    data = packed(weights, {"digest": digest})
    write(path, lambda file: file.write(data))
