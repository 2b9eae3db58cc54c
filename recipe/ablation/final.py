"""The report on the test images, which no run has seen: how good the best row or combination of an ablation is.

The folder's `test.json` has its results, so that the images are evaluated once for each choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import attrs
import numpy as np
from attrs.validators import in_, matches_re, min_len

from recipe.ablation.cells.store import Task
from recipe.ablation.report.chosen import Report, best_row, is_complete, results_on
from recipe.ablation.report.screening import Screening
from recipe.ablation.report.table import Table
from recipe.ablation.statistics.results import Line
from recipe.base.errors import RecipeError, fail
from recipe.base.identity import digest
from recipe.base.sealed import read_sealed, write_sealed
from recipe.base.typed_json import Malformed
from recipe.base.wording import plural, system_reason
from recipe.inference.evaluation import Evaluation
from recipe.inference.opened import load
from recipe.runs.reader import summary_of

FILE = "test.json"


@attrs.frozen
class Subject:
    """What a report on the test images is about."""

    label: str
    """The label of the best row, or of the combination that was confirmed."""
    runs: list[str]
    """The names of its finished cells, and of those of the row that it is compared with."""


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

    looks: list[Subject] = attrs.field(validator=min_len(1))
    """The subjects of all reports so far."""
    runs: dict[str, Outcome]
    """By the name of the cell."""
    schema_version: int = attrs.field(default=1, validator=in_((1,)))

    def knows(self, task: Task) -> bool:
        """Whether the results of a run are there, with its weights and on the test images of today."""
        outcome = self.runs.get(task.name)
        return outcome is not None and (outcome.weights, outcome.data) == (_weights(task), _data(task))


@attrs.frozen
class Wanted:
    """The report that a table without missing runs asks for."""

    kind: str
    """What is best: a ``row`` or a ``combination``."""
    lines: tuple[Line, ...]
    """The rows of the table, or of the confirmation."""
    row: int
    """The index of the best one."""
    reference: int | None
    """The index of the row that it is compared with, if any."""
    subject: Subject
    tasks: tuple[Task, ...]
    """The runs of the subject."""

    def is_in(self, kept: Kept | None) -> bool:
        """Whether the report has been made, and its results are there."""
        return kept is not None and self.subject in kept.looks and all(map(kept.knows, self.tasks))


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


def tested(table: Table, tasks: Iterable[Task], folder: Path, problem: str) -> Table:
    """Return a table with the report on the test images, if what is best has been evaluated on them.

    Otherwise, a note gives the reason, which is ``problem`` unless runs are missing.

    Args:
        table: The table, with the confirmation of a screening.
        tasks: The runs of both.
        folder: The folder of the ablation.
        problem: Why the evaluation isn't possible, or an empty text.
    """
    wanted = _wanted(table, tasks := [*tasks])
    if wanted is None:
        told = []
        if any(task.test is not None for task in tasks):
            if not _is_complete(table):
                told = ["The test images are used once no run is missing."]
            elif isinstance(table, Screening) and table.confirmation is not None:
                told = ["The test images were not used, because no run of the best combination has finished."]
        return attrs.evolve(table, about=(*told, *table.about))
    kept = kept_results(folder)
    if kept is None or not wanted.is_in(kept):
        said = f"The best {wanted.kind} has not been evaluated on the test images: {problem}."
        told = [said] if problem else []
        return attrs.evolve(table, about=(*told, *table.about))
    report = _report(table, wanted, kept)
    about = (*report.notes(wanted.lines), _about_reports(len(kept.looks)), *table.about)
    return attrs.evolve(table, about=about, report=report)


def evaluate(table: Table, tasks: Iterable[Task], folder: Path, device: str | None, tell: Callable[[str], None]) -> str:
    """Evaluate what is best and what it is compared with on the test images, and keep the results.

    Does nothing if there are no test images, runs are missing, or the results are there already. They are written when
    all are known.

    Returns:
        Why that isn't possible, or an empty text.

    Raises:
        RecipeError: E111 if the results can't be written, E120 if earlier ones are damaged.
    """
    wanted = _wanted(table, tasks)
    if wanted is None:
        return ""
    kept = kept_results(folder)
    if wanted.is_in(kept) or all(task.test is None for task in wanted.tasks):
        return ""
    looks, runs = (kept.looks, kept.runs) if kept else ([], {})
    missing = [task for task in wanted.tasks if kept is None or not kept.knows(task)]
    try:
        if missing:
            count = plural(len(missing), "run")
            tell(f"evaluating {count} on the test images, for the best {wanted.kind}: {wanted.subject.label}")
        new = {task.name: _outcome(task, device) for task in missing}
    except RecipeError as error:
        return error.diagnostics[-1].message
    write_sealed(folder / FILE, attrs.asdict(Kept([*looks, wanted.subject], {**runs, **new})))
    return ""


def _wanted(table: Table, tasks: Iterable[Task]) -> Wanted | None:
    """Return the report that a table asks for, or None if runs are missing, or none has a result.

    It is about the combination that was confirmed, if any, and otherwise about the best row. Rows of a short screening
    are never evaluated.
    """
    if not _is_complete(table):
        return None
    if isinstance(table, Screening) and table.confirmation is not None:
        return _report_on("combination", table.confirmation.lines[:2], 1, 0, tasks)
    row = best_row(table.lines)
    if row is None or (isinstance(table, Screening) and table.short):
        return None
    return _report_on("row", table.lines, row, table.compared_with(row), tasks)


def _report_on(
    kind: str, lines: tuple[Line, ...], row: int, reference: int | None, tasks: Iterable[Task]
) -> Wanted | None:
    """Return the report on a row, compared with another one, or None if it has no result."""
    if not lines[row].results:
        return None
    used = [row] if reference is None else [row, reference]
    finished = {cell.name for at in used for cell in lines[at].cells if cell.status == "finished"}
    found = {task.name: task for task in tasks if task.name in finished}
    return Wanted(kind, lines, row, reference, Subject(lines[row].label, sorted(found)), tuple(found.values()))


def _is_complete(table: Table) -> bool:
    """Whether no run is missing, including those of a confirmation."""
    more = table.confirmation.lines if isinstance(table, Screening) and table.confirmation else ()
    return is_complete((*table.lines, *more))


def _report(table: Table, wanted: Wanted, kept: Kept) -> Report:
    """Return the report that is wanted, from the results that are kept."""
    outcomes = {name: kept.runs[name] for name in wanted.subject.runs}
    correct = {name: np.array([*outcome.correct]) == "1" for name, outcome in outcomes.items()}
    first = outcomes[next(cell.name for cell in wanted.lines[wanted.row].cells if cell.name in outcomes)]
    same = all(outcome.images == first.images for outcome in outcomes.values())
    held_out = {len(each) for each in table.correct.values()}
    return Report(
        "test",
        chosen_by=held_out.pop() if len(held_out) == 1 else None,
        reported_on=len(first.correct),
        looks=len(kept.looks),
        chosen=results_on(wanted.lines, correct, wanted.row, wanted.reference if same else None),
        subject=wanted.kind,
    )


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


def _about_reports(count: int) -> str:
    if count == 1:
        return "This is the first report on the test images in this folder."
    return (
        f"This folder has had {count} reports on the test images, for different choices or runs. The more there are, "
        "the more optimistic the best of them is."
    )
