"""Atomic file writes: write to a temporary file in the same folder, sync it, then rename it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from recipe.base.errors import fail
from recipe.base.wording import system_reason


def write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically. Raises `RecipeError` (E111) on failure and leaves any existing file intact."""
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    try:
        with temporary.open("xb") as file:
            if path.exists():
                shutil.copymode(path, temporary)
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        help = "free some space or choose another path; files written earlier are intact"
        raise fail("E111", f"`{path}` can't be written: {system_reason(error)}", help=help) from error


def write_text(path: Path, text: str) -> None:
    write(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2) + "\n")
