"""Files: opened only if they are regular, written completely or not at all, and never written through a link."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from recipe.base.caller import is_command
from recipe.base.errors import fail
from recipe.base.wording import system_reason

MOST = 1 << 36
"""The largest file, in bytes, that `read` takes unless told otherwise: 64 GiB."""


def opened(path: Path | str, flags: int = os.O_RDONLY, mode: str = "rb") -> IO[bytes]:
    """Open a regular file in binary mode. Never waits, because a pipe, a device or a folder raises `OSError`."""
    flags |= os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return os.fdopen(descriptor, mode)
    except BaseException:
        os.close(descriptor)
        raise


def read(path: Path | str, most: int = MOST) -> bytes:
    """Return the bytes of a regular file. Raises `OSError` if it is anything else, or has more than ``most`` bytes."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"larger than {most:,} bytes", str(path))
        return file.read(size)  # not what is appended meanwhile


def opened_to_write(path: Path) -> IO[bytes]:
    """Open a file to read and write, and create it if it is missing. A link or anything else raises `OSError`."""
    try:
        return opened(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, "r+b")
    except OSError as error:
        raise _link(error) from None


def opened_to_append(path: Path) -> IO[bytes]:
    """Open a file for appending, and create it if it is missing. A link or anything else raises `OSError`."""
    try:
        return opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, "ab")
    except OSError as error:
        raise _link(error) from None


def _link(error: OSError) -> OSError:
    return OSError(errno.ELOOP, "is a symbolic link", error.filename) if error.errno == errno.ELOOP else error


def remove(path: Path) -> None:
    """Remove a regular file. Links, folders and anything else are left alone."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISREG(path.lstat().st_mode):
            path.unlink()


def make_folder(path: Path) -> None:
    """Create a folder in an existing one, or accept one that is there. A link or a file raises `OSError`."""
    with contextlib.suppress(FileExistsError):
        path.mkdir()
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, "is a symbolic link", str(path))
    if not stat.S_ISDIR(mode):
        raise NotADirectoryError(errno.ENOTDIR, "is not a folder", str(path))


def write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically. Raises `RecipeError` (E111) on failure and leaves any existing file intact.

    A link in its place is replaced, not followed.
    """
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
        help = "free some space or choose another path; files written earlier are intact"
        raise fail("E111", f"`{path}` can't be written: {system_reason(error)}", help=help) from error
    finally:  # also after Ctrl-C
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def see_free(path: Path) -> None:
    """Raise `RecipeError` (E111) if there is something at a path that a command is to write."""
    if path.exists() or path.is_symlink():
        raise fail("E111", f"`{path}` already exists", help=f"choose another file{' with --out' * is_command()}")


def write_text(path: Path, text: str) -> None:
    write(path, lambda file: file.write(text.encode()))


PAGE = b"<!doctype html>"
"""How a page begins, in lower case."""


def write_output(path: Path, text: str) -> None:
    """Write a file that the user named. Raises E111 if a pipe, a device, or a link to one is in its place."""
    if path.exists() and not path.is_file():
        raise fail("E111", f"`{path}` can't be written: it is not a regular file", help="name another file")
    write_text(path, text)


def write_page(path: Path, text: str) -> None:
    """Write a page that the user named. Raises E111 if anything but an earlier page is in its place."""
    check_page(path)
    write_output(path, text)


def check_page(path: Path) -> None:
    """Raise E111 if a page can't be written to a path, because there is no folder or something else is in its place."""
    if not path.absolute().parent.is_dir():
        raise fail("E111", f"`{path}` can't be written: there is no folder `{path.parent}`")
    if path.is_file():
        with path.open("rb") as file:
            is_page = not (start := file.read(len(PAGE)).lower()) or start == PAGE
        if not is_page:
            raise fail("E111", f"`{path}` exists and is not a page", help="name another file with --html")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2) + "\n")
