"""Where output is shown: on a terminal, which can redraw a line, in a notebook, or in a log."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from recipe.base import notebook
from recipe.base.printable import printable

CELL = {"TERM": "xterm-color", "GIT_PAGER": "cat"}
"""What every kernel of a notebook sets in its environment, and so in that of the commands in its cells."""


def redraws(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal that redraws lines.

    A command in a cell of a notebook (``!recipe run …``) writes to a terminal, too, but the notebook shows each state
    of a line that is redrawn below the one before.
    """
    if stream is None or not stream.isatty() or os.environ.get("TERM") == "dumb":
        return False
    in_cell = "JPY_PARENT_PID" in os.environ or all(os.environ.get(name) == value for name, value in CELL.items())
    return not in_cell


def is_kernel() -> bool:
    """Whether this process is the kernel of a notebook, so that `CellOutput` can be shown."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class CellOutput:
    """Lines in the output of a notebook's cell, which can be replaced by other lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._handle: Any = None

    def show(self, lines: Iterable[str]) -> None:
        """Show these lines in place of those before."""
        self.lines = [*lines]
        if self._handle is None:
            self._handle = importlib.import_module("IPython.display").display(self, display_id=True)
        else:
            self._handle.update(self)

    def _repr_html_(self) -> str:
        return notebook.blocks(self.lines)

    def __repr__(self) -> str:
        return "\n".join(map(printable, self.lines))
