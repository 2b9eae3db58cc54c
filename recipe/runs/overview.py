"""The runs in a folder as a table: what differs between their recipes, and their results. Needs no torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from recipe.base import files
from recipe.base.errors import RecipeError, fail
from recipe.base.printable import printable
from recipe.base.typed_json import MOST, Malformed, parsed
from recipe.base.wording import columns, format_duration, near_file, plural
from recipe.language.recipe_input import LOCK
from recipe.plan.plan import Plan
from recipe.plan.values import values_of
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.exclusive import user_of
from recipe.runs.provenance import read_provenance
from recipe.runs.reader import measured, read_metrics, read_summary
from recipe.runs.recipe_lock import open_lock

SCHEMA_VERSION = 1

ABSENT = "–"

WEIGHTS = "model.safetensors"

SORTS = ("name", "status", "top1", "best", "loss", "epochs", "seconds")
"""What a table can be sorted by. Results are sorted from the best to the worst, the others rise."""


@attrs.frozen
class RunRow:
    """One run of a table. What is unknown is None."""

    name: str
    """Its folder, relative to that of the table."""
    status: str
    """``finished``, ``ended early``, ``training``, ``stopped``, ``not started`` or ``unreadable``."""
    differs: dict[str, str | None]
    """The values of the fields that are not the same in all runs, by trick and field. None if it has no value."""
    epochs: float | None = None
    """Epochs trained so far."""
    of_epochs: int | None = None
    """Epochs of the recipe."""
    top1: float | None = None
    """The accuracy of the kept weights, from 0 to 1, or of the last evaluation if the run has no results yet."""
    loss: float | None = None
    """The held-out loss, likewise."""
    best: float | None = None
    """The highest accuracy of all evaluations after whole epochs, or of the only other one."""
    best_epoch: float | None = None
    """The first epoch with that accuracy."""
    seconds: float | None = None
    """The time of the training, or of its last part if it was resumed."""
    problem: str = ""
    """Why the run can't be read, or empty."""


@attrs.frozen
class Overview:
    """The runs in a folder."""

    folder: Path
    rows: tuple[RunRow, ...]

    def sorted_by(self, key: str) -> Overview:
        """Return the table in the order of a column, one of `SORTS`. Runs without a value come last."""
        sign = -1 if key in ("top1", "best") else 1

        def place(row: RunRow) -> tuple[bool, Any, str]:
            value = getattr(row, key)
            missing = value is None
            return missing, 0 if missing else value if isinstance(value, str) else sign * value, row.name

        return attrs.evolve(self, rows=tuple(sorted(self.rows, key=place)))

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain JSON values. docs/reference/json.md describes each field."""
        return {"schema_version": SCHEMA_VERSION, "runs": [attrs.asdict(row) for row in self.rows]}

    def to_text(self) -> str:
        """Return the table for a terminal."""
        fields = list(dict.fromkeys(field for row in self.rows for field in row.differs))
        heads = ["run", "status", "epochs done", "top-1", "best (epoch)", "loss", "time", *fields]
        lines = [[*_cells(row), *(row.differs.get(field) or ABSENT for field in fields)] for row in self.rows]
        table = columns([heads, *lines], right={2, 3, 4, 5, 6})
        problems = [f"{printable(row.name)}: {printable(row.problem)}" for row in self.rows if row.problem]
        return "\n".join([table, *problems])


def overview(folder: Path, vocabulary: Vocabulary) -> Overview:
    """Return the runs in a folder and its subfolders. Raises `RecipeError` (E120) if there are none."""
    if not folder.is_dir():
        raise fail("E120", f"the folder `{folder}` does not exist", help=near_file(folder) or "name a folder with runs")
    folders = sorted(_runs_in(folder))
    if not folders:
        raise fail("E120", f"no runs found in `{folder}`", help="`recipe run` writes them to `runs`, or to its --out")
    plans = {run: _plan(run, vocabulary) for run in folders}
    differing = _differing([plan for plan in plans.values() if isinstance(plan, Plan)])
    rows = [row_of(run, os.path.relpath(run, folder), plan, differing) for run, plan in plans.items()]
    return Overview(folder, tuple(rows))


def _runs_in(folder: Path) -> Iterable[Path]:
    """Yield the run folders at or below a folder. Runs within runs, such as a teacher's, are found too."""
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "checkpoints")
        if LOCK in names:
            yield Path(path)


def _plan(run: Path, vocabulary: Vocabulary) -> Plan | str:
    """Return the plan of a run, or why it can't be read."""
    try:
        return open_lock(run).plan(vocabulary)
    except RecipeError as error:
        first = error.diagnostics[0]
        return f"{first.message}{f'; {first.help}' if first.help else ''}"


def _differing(plans: list[Plan]) -> list[str]:
    """Return the fields whose values are not the same in all plans, in the order of the recipes."""
    every = [values_of(plan) for plan in plans]
    fields = dict.fromkeys(field for values in every for field in values)
    return [field for field in fields if len({values.get(field) for values in every}) > 1]


def row_of(run: Path, name: str, plan: Plan | str, differing: Sequence[str] = ()) -> RunRow:
    """Return the row of the run in a folder. ``plan`` is its plan, or why that can't be read."""
    values = values_of(plan) if isinstance(plan, Plan) else {}
    row = RunRow(
        name=name,
        status="unreadable" if isinstance(plan, str) else "",
        differs={field: values.get(field) for field in differing} if values else {},
        of_epochs=plan.training.epochs if isinstance(plan, Plan) else None,
        problem=plan if isinstance(plan, str) else "",
    )
    summary, problem = _summary(run)
    lines = measured(run)
    evaluations = [line for line in lines if line["kind"] == "evaluation"]
    if evaluations:
        whole = [line for line in evaluations if line["epoch"] % 1 == 0]  # an early end within an epoch doesn't count
        last, best = evaluations[-1], max(whole or evaluations, key=lambda line: (line["top1"], -line["loss"]))
        row = attrs.evolve(row, top1=last["top1"], loss=last["loss"], best=best["top1"], best_epoch=best["epoch"])
    if lines:
        row = attrs.evolve(row, epochs=lines[-1]["epoch"])
    if summary:
        row = attrs.evolve(row, epochs=float(summary["epochs"]), seconds=summary["seconds"])
        row = attrs.evolve(row, top1=summary["top1"], loss=summary["loss"])
    status = (
        row.status or summary.get("status") or ("training" if user_of(run) else "stopped" if lines else "not started")
    )
    return attrs.evolve(row, status=status, problem=row.problem or problem or _damage(run, summary))


def _damage(run: Path, summary: Mapping[str, Any]) -> str:
    """Return why a run that can be read can't be used, or what is damaged in it, or an empty string.

    Weights are only looked at for their length: reading them takes long.
    """
    try:
        read_provenance(run)
    except RecipeError as error:
        return error.diagnostics[0].message
    if summary and not _is_whole(run / WEIGHTS):
        return f"{WEIGHTS} is missing or damaged"
    if damaged := read_metrics(run).damaged:
        return f"{plural(damaged, 'line')} of metrics.jsonl can't be read"
    return ""


def _is_whole(path: Path) -> bool:
    """Whether a safetensors file has the length that its header states."""
    try:
        with files.opened(path) as file:
            length = int.from_bytes(file.read(8), "little")
            header = parsed(file.read(min(length, MOST)))
            size = file.seek(0, os.SEEK_END)
        ends = [about["data_offsets"][1] for name, about in header.items() if name != "__metadata__"]
        return bool(size == 8 + length + max(ends, default=0))
    except (OSError, Malformed, AttributeError, KeyError, IndexError, TypeError):
        return False


def _summary(run: Path) -> tuple[dict[str, Any], str]:
    """Return a run's summary, empty if it has none, and what is wrong with it."""
    try:
        return read_summary(run), ""
    except FileNotFoundError:
        return {}, ""
    except (OSError, Malformed) as error:
        return {}, f"summary.json can't be used: {error}"


def _cells(row: RunRow) -> list[str]:
    epochs = ABSENT if row.epochs is None else f"{row.epochs:.4g}"
    best = "" if row.best_epoch is None else f" ({row.best_epoch:.4g})"
    return [
        row.name,
        row.status,
        f"{epochs}/{ABSENT if row.of_epochs is None else row.of_epochs}",
        _percent(row.top1),
        f"{_percent(row.best)}{best}",
        ABSENT if row.loss is None else f"{row.loss:.4f}",
        ABSENT if row.seconds is None else format_duration(row.seconds),
    ]


def _percent(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.2%}"
