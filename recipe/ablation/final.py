"""The report on the best row of a finished ablation on the test images, which no run has seen.

The folder's `test.json` has its results, so that the images are evaluated once for each choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import numpy as np
from attrs.validators import in_, matches_re, min_len

from recipe.ablation.cells.store import Task
from recipe.ablation.report.chosen import Report, best_row, is_complete, results_on
from recipe.ablation.report.table import Table
from recipe.base.errors import RecipeError, fail
from recipe.base.identity import digest
from recipe.base.sealed import read_sealed, write_sealed
from recipe.base.typed_json import Malformed
from recipe.base.wording import plural, system_reason
from recipe.inference.evaluation import Evaluation
from recipe.inference.opened import load
from recipe.runs.reader import summary_of

FILE = "test.json"

Cells = Sequence[Sequence[Task]]
"""The cells of each row, one per seed."""


@attrs.frozen
class Look:
    """A report on the test images: the label of the best row, and the runs that it and its reference had."""

    label: str
    runs: list[str]


@attrs.frozen
class Outcome:
    """What a run computed for the test images."""

    weights: str
    """The digest of its weights."""
    data: str
    """A digest of the test images when they were evaluated."""
    images: str
    """A digest of the images that could be decoded, and of their labels."""
    correct: str = attrs.field(validator=matches_re("[01]+"))
    """1 for each image that is classified correctly, 0 for each other one."""


@attrs.frozen
class Kept:
    """The contents of `test.json`."""

    looks: list[Look] = attrs.field(validator=min_len(1))
    runs: dict[str, Outcome]
    """By the name of the cell."""
    schema_version: int = attrs.field(default=1, validator=in_((1,)))


def kept_results(folder: Path) -> Kept | None:
    """Return the results on the test images in an ablation's folder, or None if there are none.

    Raises `RecipeError` (E120) if they are damaged, since then it isn't known how often the images have been evaluated.
    """
    try:
        return read_sealed(folder / FILE, Kept)
    except FileNotFoundError:
        return None
    except (OSError, Malformed) as error:
        why = f"can't be read: {system_reason(error)}" if isinstance(error, OSError) else str(error)
        help = "restore it from a copy, or delete it to evaluate the test images again"
        raise fail("E120", f"`{folder / FILE}` {why}", help=help) from None


def tested(table: Table, cells: Cells, folder: Path, problem: str) -> Table:
    """Return a table with the report on the test images, if its best row has been evaluated on them.

    Otherwise, a note gives the reason, which is ``problem`` unless runs are missing.
    """
    row = best_row(table.lines)
    if row is None or not is_complete(table.lines):
        has_test = not is_complete(table.lines) and any(task.test is not None for of_row in cells for task in of_row)
        told = ["The best row is evaluated on the test images once no run is missing."] if has_test else []
        return attrs.evolve(table, about=(*told, *table.about))
    kept, compared = kept_results(folder), table.compared_with(row)
    look, tasks = _look(table, cells, row)
    if kept is None or look not in kept.looks or not all(_is_known(task, kept) for task in tasks):
        told = [f"The best row has not been evaluated on the test images: {problem}."] if problem else []
        return attrs.evolve(table, about=(*told, *table.about))
    correct = {name: np.array([*kept.runs[name].correct]) == "1" for name in look.runs}
    first = kept.runs[next(cell.name for cell in table.lines[row].cells if cell.name in correct)]
    same = all(kept.runs[name].images == first.images for name in look.runs)
    held_out = {len(each) for each in table.correct.values()}
    report = Report(
        "test",
        chosen_by=held_out.pop() if len(held_out) == 1 else None,
        reported_on=len(first.correct),
        looks=len(kept.looks),
        chosen=results_on(table.lines, correct, row, compared if same else None),
    )
    about = (*report.notes(table.lines), _about_looks(len(kept.looks)), *table.about)
    return attrs.evolve(table, about=about, report=report)


def evaluate(table: Table, cells: Cells, folder: Path, device: str | None, tell: Callable[[str], None]) -> str:
    """Evaluate the best row and the one that it is compared with on the test images, and keep the results.

    Does nothing if there are no test images, runs are missing, or the results are there already. They are written when
    all are known.

    Returns:
        Why that isn't possible, or an empty text.

    Raises:
        RecipeError: E111 if the results can't be written, E120 if earlier ones are damaged.
    """
    row = best_row(table.lines)
    if row is None or not is_complete(table.lines):
        return ""
    kept, (look, tasks) = kept_results(folder), _look(table, cells, row)
    if all(task.test is None for task in tasks):
        return ""
    known = {task.name: kept.runs[task.name] for task in tasks if _is_known(task, kept)} if kept else {}
    if kept is not None and look in kept.looks and len(known) == len(tasks):
        return ""
    try:
        if missing := [task for task in tasks if task.name not in known]:
            tell(f"evaluating {plural(len(missing), 'run')} on the test images, for the best row: {look.label}")
        known |= {task.name: _outcome(task, device) for task in missing}
    except RecipeError as error:
        return error.diagnostics[-1].message
    new = Kept([*(kept.looks if kept else ()), look], {**(kept.runs if kept else {}), **known})
    write_sealed(folder / FILE, attrs.asdict(new))
    return ""


def _look(table: Table, cells: Cells, row: int) -> tuple[Look, list[Task]]:
    """Return the report that the best row needs, and its finished runs and those of the row it is compared with."""
    reference = table.compared_with(row)
    rows = [row] if reference is None else [row, reference]
    finished = {cell.name for at in rows for cell in table.lines[at].cells if cell.status == "finished"}
    tasks = {task.name: task for at in rows for task in cells[at] if task.name in finished}
    return Look(table.lines[row].label, sorted(tasks)), [*tasks.values()]


def _is_known(task: Task, kept: Kept) -> bool:
    """Whether the results of a run are there, with its weights and on the test images of today."""
    outcome = kept.runs.get(task.name)
    return outcome is not None and (outcome.weights, outcome.data) == (_weights(task), _data(task))


def _outcome(task: Task, device: str | None) -> Outcome:
    """Evaluate a run on the test images. Raises `RecipeError` if it, or the images, can't be read."""
    found = load(task.run, device=device, plugins=task.plan.vocabulary or ()).evaluate(on="test")
    correct = "".join("01"[right] for right in (found.predicted == found.labels).tolist())
    return Outcome(_weights(task), _data(task), _images(found), correct)


def _images(found: Evaluation) -> str:
    return digest(b"".join((found.indices.tobytes(), found.labels.tobytes(), repr(found.images).encode())))


def _weights(task: Task) -> str:
    return str(summary_of(task.run).get("weights_sha256"))


def _data(task: Task) -> str:
    """Return a digest of the test images, or an empty text without any."""
    return "" if task.test is None else digest(repr(attrs.astuple(task.test)).encode())


def _about_looks(count: int) -> str:
    if count == 1:
        return "This is the first report on the test images in this folder."
    return (
        f"This folder has had {count} reports on the test images, for different choices or runs. The more there are, "
        "the more optimistic the best of them is."
    )
