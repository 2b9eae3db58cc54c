"""Requests to end a training early: a file in its run folder, which it reads between two steps. Needs no torch.

A request names the process that it is meant for, so that no other training in the folder follows it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from recipe.base import files
from recipe.base.errors import RecipeError
from recipe.runs import exclusive

NAME = ".finish"
"""The file of a request."""

MOST = 1 << 10
"""The largest request, in bytes."""


def ask(folder: Path) -> str:
    """Ask the process that trains in a folder to end early. Return its name, or an empty string if there is none.

    Raises `RecipeError` (E111) if the request can't be written.
    """
    user = exclusive.user_of(folder)
    if user:
        files.write_text(folder / NAME, user)
    return user


def is_asked(folder: Path) -> bool:
    """Whether this process, which trains in a folder, has been asked to end early."""
    try:
        meant_for = files.read(folder / NAME, MOST).decode("utf-8", "replace")
    except OSError:  # usually because there is none
        return False
    return meant_for in (exclusive.this_process(), exclusive.UNKNOWN)


@contextlib.contextmanager
def accepted(folder: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Accept requests in a folder that this process holds. None of them outlives it.

    A request that an earlier process left is removed and reported.
    """
    if (folder / NAME).is_file():
        _remove(folder)
        tell("`recipe finish` was meant for an earlier process of this run, so it has no effect on this one")
    try:
        yield
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError, RecipeError):  # a folder that was taken away is no longer ours
        exclusive.check(folder)
        files.remove(folder / NAME)
