"""Files that are whole or not there: written beside their place, synced, then renamed."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from recipe.base.errors import fail
from recipe.base.wording import system_reason


def write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically. Raises `RecipeError` (E111) where that can't be; nothing is lost then."""
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), _mode(path))  # a temporary file is its owner's alone
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        reason = system_reason(error)
        help = "what was written before is still whole; make room, or name another place"
        raise fail("E111", f"`{path}` can't be written: {reason}", help=help) from error


def _mode(path: Path) -> int:
    """The permissions that a file has, or that a new one gets."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def write_text(path: Path, text: str) -> None:
    write(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2) + "\n")
