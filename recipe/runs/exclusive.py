"""The lock that allows only one process at a time to train in a folder, and notices if the folder is taken away."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import attrs

from recipe.base import files
from recipe.base.caller import another_folder, option
from recipe.base.errors import fail
from recipe.base.wording import system_reason

OWNER = re.compile(r"process \d+ on [^\n]*")
"""What a process writes to the lock file. Anything else in it is not ours."""

UNKNOWN = "another process"
"""The name of a process that holds a lock file with other contents."""


def this_process() -> str:
    """Return the name of this process, as it writes it to the lock file."""
    return f"process {os.getpid()} on {platform.node()}"


def user_of(folder: Path) -> str:
    """Return the process that is training in a folder, or an empty string."""
    if _is_held(folder):  # don't open the file: closing it again would release the lock
        return this_process()
    try:
        with files.opened(folder / ".lock") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                return _written_in(file) or UNKNOWN
    except OSError:  # no lock file, so no process holds it
        pass
    return ""


@attrs.frozen
class _Identity:
    """Device and inode of a held folder and of its lock file."""

    folder: tuple[int, int]
    lock: tuple[int, int]

    @classmethod
    def of(cls, folder: Path) -> _Identity:
        return cls(_number(os.stat(folder)), _number(os.lstat(folder / ".lock")))


def _number(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


_held: dict[Path, _Identity] = {}


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Lock a folder while this process trains there. Raises E116 if another process holds the lock.

    The operating system releases the lock when the process ends, for any reason.
    """
    path = folder / ".lock"
    if _is_held(folder):  # as above
        raise _in_use(folder, "this process")
    try:
        file = files.opened_to_write(path)
    except OSError as error:
        raise fail("E111", f"`{path}` can't be written: {system_reason(error)}") from None
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock, which worker processes would inherit
        except (BlockingIOError, PermissionError):
            raise _in_use(folder, _written_in(file) or UNKNOWN) from None
        ours = not os.fstat(file.fileno()).st_size or _written_in(file)
        if ours:
            try:
                _replace(file, this_process())
            except OSError as error:
                raise fail("E111", f"`{path}` can't be written: {system_reason(error)}") from None
        try:
            _held[folder] = _Identity.of(folder)
        except OSError:  # it has just been removed
            raise _gone(folder) from None
        try:
            yield
        finally:
            _held.pop(folder, None)
            if ours:
                _replace(file, "")


def check(folder: Path) -> None:
    """Raise E111 if a folder that this process holds has been removed, moved or replaced since."""
    if (held := _held.get(folder)) is None:  # this process writes nothing there
        return
    try:
        same = _Identity.of(folder) == held
    except OSError:
        same = False
    if not same:
        raise _gone(folder)


def _is_held(folder: Path) -> bool:
    try:
        return _number(os.lstat(folder / ".lock")) in {held.lock for held in _held.values()}
    except OSError:
        return False


def _in_use(folder: Path, owner: str) -> Exception:
    help = f"wait until it ends, or {another_folder()}"
    return fail("E116", f"`{folder}` is in use by another run ({owner})", help=help)


def _gone(folder: Path) -> Exception:
    message = f"`{folder}` can't be written: the folder or its .lock was removed or replaced during the training"
    help = f"resume with {option('--resume')} from the checkpoints that are left, or train again"
    return fail("E111", message, help=help)


def _written_in(file: IO[bytes]) -> str:
    file.seek(0)
    text = file.read(200).decode("utf-8", "replace").strip()
    return text if OWNER.fullmatch(text) else ""


def _replace(file: IO[bytes], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text.encode("utf-8", "replace"))
    file.flush()
