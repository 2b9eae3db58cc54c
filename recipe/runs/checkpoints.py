"""Checkpoints: written whole or not at all, verified when read, and loaded without running any code in them."""

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
    """Save a checkpoint. Once it is on disk, remove all but the newest ``keep``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{state.step:09d}.pt"
    packed = io.BytesIO()  # in memory first, so that only the disk can fail later
    torch.save(state.to_dict(), packed)
    for stale in folder.glob(".step-*"):  # left by a process that was killed while writing
        stale.unlink(missing_ok=True)
    write(path, lambda file: file.write(packed.getbuffer()))
    saved = sorted(folder.glob("step-*.pt"))
    at = saved.index(path) + 1
    for old in (*saved[:at][:-keep], *saved[at:]):  # later ones predate a restart from scratch
        old.unlink(missing_ok=True)
    return path


def _newest(folder: Path) -> Iterator[Path]:
    yield from sorted((path for path in folder.glob("step-*.pt") if path.is_file()), reverse=True)


def read(folder: Path) -> tuple[bytes | None, list[Path]]:
    """Return the bytes of the newest sound checkpoint, and the paths of newer ones that are damaged.

    Damaged checkpoints are renamed to ``step-….pt.unreadable``, so that they are never read again. A checkpoint
    with another schema version is refused (E113) and left in place.
    """
    unsound: list[Path] = []
    for path in _newest(folder):
        try:
            packed = path.read_bytes()
            unpack(packed, torch.device("cpu"))
            return packed, unsound
        except OtherVersion as error:
            help = "resume with the release that wrote it, or choose another folder with --out"
            raise fail("E113", f"the checkpoint `{path}` {error}", help=help) from error
        except Exception as error:  # whatever is wrong, the previous one may be sound
            if isinstance(error, (OSError, MemoryError)) or "can't allocate" in str(
                error
            ):  # not the checkpoint's fault
                reason = system_reason(error) if isinstance(error, OSError) else "not enough memory"
                raise fail("E001", f"the checkpoint `{path}` can't be read: {reason}") from error
            aside = path.with_name(f"{path.name}.unreadable")
            path.replace(aside)
            unsound.append(aside)
    return None, unsound


def unpack(packed: bytes, device: torch.device) -> TrainingState:
    """Return the state in a checkpoint's bytes. Verifies every checksum, and runs no code from the file.

    Raises `OtherVersion` if its schema has another version, and any other exception if it is damaged.
    """
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("an entry is compressed, which torch never does")
        if (wrong := archive.testzip()) is not None:
            raise ValueError(f"entry `{wrong}` is damaged")
    return TrainingState.from_dict(torch.load(io.BytesIO(packed), map_location=device, weights_only=True))


def packed(weights: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """Return the bytes of a safetensors file with a state dict and text metadata."""
    from safetensors.torch import save as pack

    return pack({name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}, metadata)


def save_weights(path: Path, weights: dict[str, Tensor], digest: str) -> None:
    """Save a state dict as safetensors, with the digest of the plan that it belongs to."""
    data = packed(weights, {"digest": digest})
    write(path, lambda file: file.write(data))
