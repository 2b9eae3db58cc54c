"""Checkpoints: written whole or not at all, verified when read, and loaded without running any code in them.

A checkpoint is a zip archive that `torch.load` opens. Its comment, which ends the file, is the SHA-256 of everything
before it, so that a change of any byte is noticed before anything is parsed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import pickletools
import re
import struct
import zipfile
from pathlib import Path
from typing import NoReturn

import torch

from recipe.base import files
from recipe.base.caller import another_folder
from recipe.base.errors import fail
from recipe.base.wording import system_reason
from recipe.runs.state import OtherVersion, TrainingState, check_version

NAME = re.compile(r"step-\d{9,}\.pt")
STALE = re.compile(r"\.step-\d{9,}\.pt\.[0-9a-f]{8}")
UNREADABLE = re.compile(r"step-\d{9,}\.pt\.unreadable")

MARK = b"sha256:"
SEALED = len(MARK) + 64
"""Length of the comment."""


def save(folder: Path, state: TrainingState, keep: int) -> Path:
    """Save a checkpoint. Once it is on disk, remove all but the newest ``keep``. Raises `RecipeError` (E111)."""
    path = folder / f"step-{state.step:09d}.pt"
    packed = pack(state)  # in memory first, so that only the disk can fail later
    try:
        files.make_folder(folder)
        for stale in _named(folder, STALE):  # left by a process that was killed while writing
            files.remove(stale)
    except OSError as error:
        raise fail("E111", f"`{folder}` can't be written: {system_reason(error)}") from None
    files.write(path, lambda file: file.write(packed))
    saved = _named(folder, NAME)
    at = saved.index(path) + 1
    for old in (*saved[:at][:-keep], *saved[at:]):  # later ones predate a restart from scratch
        files.remove(old)
    return path


def saved_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest first."""
    return [path for path in _named(folder, NAME) if path.is_file()]


def clear(folder: Path) -> None:
    """Remove the checkpoints in a folder, and the folder if nothing else is in it. A link is left alone."""
    if folder.is_symlink():
        return
    for path in (*_named(folder, NAME), *_named(folder, STALE), *_named(folder, UNREADABLE)):
        files.remove(path)
    with contextlib.suppress(OSError):  # it has other files, or is missing
        folder.rmdir()


def _named(folder: Path, name: re.Pattern[str]) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if name.fullmatch(path.name))
    except OSError:
        return []


def pack(state: TrainingState) -> bytes:
    """Return the bytes of a checkpoint."""
    packed = io.BytesIO()
    torch.save(state.to_dict(), packed)
    return seal(packed.getvalue())


def seal(archive: bytes) -> bytes:
    """Return a zip archive without a comment with its digest as the comment."""
    if archive[-22:-18] != b"PK\5\6" or archive[-2:] != b"\0\0":
        raise ValueError("not a zip archive without a comment")
    content = archive[:-2] + struct.pack("<H", SEALED)
    return content + MARK + hashlib.sha256(content).hexdigest().encode()


def read(folder: Path, set_aside: bool = True) -> tuple[bytes | None, list[Path]]:
    """Return the bytes of the newest sound checkpoint, and the paths of newer ones that are damaged.

    Unless ``set_aside`` is false, damaged checkpoints are renamed to ``step-….pt.unreadable``, so that they are never
    read again. A checkpoint with another schema version is refused (E113) and left in place.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        help = f"put a folder of its own in its place, or {another_folder()}"
        raise fail("E111", f"`{folder}` is a link or a file instead of a folder", help=help)
    unsound: list[Path] = []
    for path in reversed(saved_in(folder)):
        try:
            packed = files.read(path)
            unpack(packed, torch.device("cpu"))
            return packed, unsound
        except OtherVersion as error:
            help = f"resume with the release that wrote it, or {another_folder()}"
            raise fail("E113", f"the checkpoint `{path}` {error}", help=help) from error
        except Exception as error:  # whatever is wrong, the previous one may be sound
            if isinstance(error, (OSError, MemoryError)) or "can't allocate" in str(
                error
            ):  # not the checkpoint's fault
                reason = system_reason(error) if isinstance(error, OSError) else "not enough memory"
                raise fail("E001", f"the checkpoint `{path}` can't be read: {reason}") from error
            unsound.append(_set_aside(path) if set_aside else path)
    return None, unsound


def _set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint. Return its new path."""
    aside = path.with_name(f"{path.name}.unreadable")
    try:
        return path.replace(aside)
    except OSError as error:
        raise fail("E111", f"`{aside}` can't be written: {system_reason(error)}") from error


def unpack(packed: bytes, device: torch.device) -> TrainingState:
    """Return the state in a checkpoint's bytes. Verifies them first, and runs no code from them.

    Raises `OtherVersion` if its schema has another version, and any other exception if it is damaged.
    """
    content, seal = packed[:-SEALED], packed[-SEALED:]
    if not seal.startswith(MARK):
        _check_unsealed(packed)
    if seal != MARK + hashlib.sha256(content).hexdigest().encode():
        raise ValueError("its digest is another one")
    _stored(packed).close()
    return TrainingState.from_dict(torch.load(io.BytesIO(packed), map_location=device, weights_only=True))


def _check_unsealed(packed: bytes) -> NoReturn:
    """Raise `OtherVersion` for a checkpoint of version 1, which had no digest, and `ValueError` for anything else.

    Only looks at the constants in its pickle, since nothing says that its bytes are sound.
    """
    with _stored(packed) as archive:
        if archive.testzip():
            raise ValueError("it is damaged")
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        constants = [
            value
            for code, value, _ in pickletools.genops(archive.read(pickled))
            if code.name.startswith("BININT") or code.name.endswith("BINUNICODE")
        ]
    version = constants[constants.index("version") + 1 :][:1] if "version" in constants else []
    names = {name for name in constants if isinstance(name, str)} - {"version"}
    check_version({**dict.fromkeys(names), **({"version": version[0]} if version else {})})
    raise ValueError("it has no digest")


def _stored(packed: bytes) -> zipfile.ZipFile:
    """Open an archive whose entries are not compressed, so that it takes no more memory than its size."""
    archive = zipfile.ZipFile(io.BytesIO(packed))
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
        raise ValueError("an entry is compressed, which torch never does")
    return archive
