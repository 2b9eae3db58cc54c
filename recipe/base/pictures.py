"""Pictures that illustrate results: one that can't be drawn is a warning, and takes no result with it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from recipe.base.wording import first_line


def drawn(draw: Callable[[], None], files: Sequence[Path]) -> str:
    """Call ``draw``, which writes ``files``. Return a warning if it fails, or else an empty string.

    After a failure, no file of an earlier picture is left, because it would show something else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a font without some letters of a label
            draw()
    except Exception as error:  # matplotlib may raise anything
        for file in files:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
        return f"warning: {' and '.join(file.name for file in files)} can't be drawn: {first_line(error)}"
    return ""
