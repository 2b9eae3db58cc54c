"""Requests to end a training early: a file in its run folder, which it reads between two steps. Needs no torch.

A request names the process that it is meant for, so that no other training in the folder follows it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from recipe.base import files
from recipe.base.errors import RecipeError
from recipe.runs import exclusive

NAME = ".finish"
"""The file of a request."""

MOST = 1 << 10
"""The largest request, in bytes."""


def ask(folder: Path) -> str:
    """Ask the process that trains in a folder to end early. Return its name, or an empty string if nothing trains.

    Raises `RecipeError` (E111) if the request can't be written.
    """
    user = exclusive.user_of(folder)
    if not user:
        return ""
    files.write_text(folder / NAME, user)
    if exclusive.user_of(folder) != user:  # it has ended in the meantime, perhaps before it could remove the request
        _withdraw(folder, user)
        return ""
    return user


def is_asked(folder: Path) -> bool:
    """Whether this process, which trains in a folder, has been asked to end early."""
    return _meant_for(folder) in (exclusive.this_process(), exclusive.UNKNOWN)


def withdraw(folder: Path) -> None:
    """Remove a request to this process, which no longer trains in a folder.

    Call it once the folder is released: then no request can follow, since `ask` sees that nobody trains there.
    """
    _withdraw(folder, exclusive.this_process(), exclusive.UNKNOWN)


def drop_stale(folder: Path, tell: Callable[[str], None]) -> None:
    """Remove and report a request to an earlier process in a folder that this process holds."""
    if (folder / NAME).is_file():
        with contextlib.suppress(OSError, RecipeError):
            exclusive.check(folder)
            files.remove(folder / NAME)
        tell("`recipe finish` was meant for an earlier process of this run, so it has no effect on this one")


def _meant_for(folder: Path) -> str:
    """Return the process that a request names, or an empty string if there is none."""
    try:
        return files.read(folder / NAME, MOST).decode("utf-8", "replace")
    except OSError:  # usually because there is none
        return ""


def _withdraw(folder: Path, *names: str) -> None:
    if _meant_for(folder) in names:
        with contextlib.suppress(OSError):
            files.remove(folder / NAME)
