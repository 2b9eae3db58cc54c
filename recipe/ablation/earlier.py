"""The table that an ablation's folder holds from before."""

from __future__ import annotations

from pathlib import Path

import attrs

from recipe.ablation.report.table import Table
from recipe.base.typed_json import Malformed, read_json


@attrs.frozen
class EarlierRow:
    label: str


@attrs.frozen
class Earlier:
    """What matters of an earlier `table.json`."""

    title: str
    recipe: str
    rows: tuple[EarlierRow, ...]
    seeds: tuple[int, ...]

    def is_part_of(self, table: Table) -> bool:
        """Whether a table has the same rows, and all seeds."""
        labels = [row.label for row in self.rows], [line.label for line in table.lines]
        same = (self.title, self.recipe) == (table.title, table.recipe) and labels[0] == labels[1]
        return same and {*self.seeds} <= {*table.seeds}


def replaced(table: Table, folder: Path) -> list[str]:
    """Return a note if a folder holds a table that would be overwritten and is not part of the new one."""
    try:
        earlier = read_json(folder / "table.json", Earlier)
    except (OSError, Malformed):
        return []
    what = "is of another recipe, or has other rows or more seeds"
    note = f"replacing the table in {folder}, which {what}; its runs are kept"
    return [] if earlier.is_part_of(table) else [note]
