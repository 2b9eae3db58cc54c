"""One process to a folder: the lock that a training holds."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from recipe.base.errors import fail
from recipe.base.wording import system_reason


def user_of(folder: Path) -> str:
    """Which process trains in a folder at this moment; empty where none does."""
    try:
        with (folder / ".lock").open("r+") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                return file.read().strip() or "another process"
    except OSError:  # there is no lock, so nobody has it
        pass
    return ""


_held: set[Path] = set()


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep a folder for this process alone while it trains there; E116 where another one has it.

    The system drops the lock when the process ends, however it does.
    """
    path = folder / ".lock"
    owner = "this process" if path.resolve() in _held else ""
    if not owner:  # opened once a process: to close the file again would drop the lock
        try:
            file = path.open("a+")
        except OSError as error:
            raise fail("E111", f"`{folder}` can't be written: {system_reason(error)}") from None
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock: worker processes would inherit it
        except (BlockingIOError, PermissionError):
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
    if owner:
        help = "wait until it ends, or name another --out"
        raise fail("E116", f"`{folder}` is in use by another run ({owner})", help=help)
    with file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        _held.add(path.resolve())
        try:
            yield
        finally:
            _held.discard(path.resolve())
            file.truncate(0)
