"""CSV: a table with a row per line of metrics, in the run folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from recipe.base import files
from recipe.trackers.tracker import TrackedRun, Tracker

NAME = "metrics.csv"


class Table:
    """Keeps all rows, since a later line may have another column, and writes the whole file."""

    def __init__(self, run: TrackedRun) -> None:
        self.path, self.rows = run.folder / NAME, list[dict[str, float]]()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.rows.append({"step": step, **values})

    def flush(self) -> None:
        columns = dict.fromkeys(name for row in self.rows for name in row)
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, list(columns), lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows)
        files.write_text(self.path, text.getvalue())

    def finish(self, results: Mapping[str, float | str]) -> None:
        self.flush()


TRACKER = Tracker("CSV", f"A table in the run folder: {NAME}.", Table, rewrites=True)
