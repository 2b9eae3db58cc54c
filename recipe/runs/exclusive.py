"""The lock that allows only one process at a time to train in a folder."""

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
    """Return the process that is training in a folder, or an empty string."""
    try:
        with (folder / ".lock").open("r+") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                return file.read().strip() or "another process"
    except OSError:  # no lock file, so no process holds it
        pass
    return ""


_held: set[Path] = set()


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Lock a folder while this process trains there. Raises E116 if another process holds the lock.

    The operating system releases the lock when the process ends, for any reason.
    """
    path = folder / ".lock"
    owner = "this process" if path.resolve() in _held else ""
    if not owner:  # open it only once per process: closing the file again would release the lock
        try:
            file = path.open("a+")
        except OSError as error:
            raise fail("E111", f"`{folder}` can't be written: {system_reason(error)}") from None
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock, which worker processes would inherit
        except (BlockingIOError, PermissionError):
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
    if owner:
        help = "wait until it ends, or choose another folder with --out"
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
