"""Rows of text in columns, as wide as their widest cell."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence


def columns(rows: Sequence[Sequence[str]], right: Collection[int] = (), indent: int = 0) -> str:
    """Rows in columns, two blanks between them; those whose numbers are in ``right`` are aligned to the right.

    Lines are not wrapped, whatever the width of the terminal, and have no blanks at their ends.
    """
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    for number in range(max(map(len, rows), default=0)):
        grid.add_column(justify="right" if number in right else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    console = Console(file=io.StringIO(), width=1 << 20, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(Padding.indent(grid, indent), soft_wrap=False)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))
