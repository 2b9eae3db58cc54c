"""`--holdout`: keep a part of the held-out images out of a table, and report its best row on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from recipe.ablation.cells.store import Task
from recipe.ablation.report.chosen import Report, best_row, is_complete, results_on
from recipe.ablation.report.table import Table
from recipe.ablation.statistics.results import Cell, Line
from recipe.base.caller import named, option
from recipe.base.errors import RecipeError, fail
from recipe.base.wording import plural
from recipe.data.splits import position
from recipe.runs.held_out import HeldOut, read_held_out
from recipe.runs.reader import summary_of

FEWEST = 20
"""The fewest images that are kept back."""

SALT = "holdout"
"""Makes the part of an image independent of the one that it has in the dataset."""


def check_holdout(share: float | None, tasks: Sequence[Task]) -> None:
    """Raise `RecipeError` (E124) if a share of the held-out images can't be kept back, as far as that is known."""
    if share is None:
        return
    first = tasks[0]
    for task in tasks:
        if task.test is not None:
            raise _tested(task)
        if _labels(task) != _labels(first):
            raise _other_images(first, task)
        if task.data is not None and share * (count := task.data[1].held_out.images) < FEWEST:
            raise _too_few(f"about {share * count:.0f}", count)
        summary = summary_of(task.run)
        if task.cell().status == "finished" and summary.get("evaluation_sha256") is None:
            raise _unknown(task, f"the run in `{task.run}` did not record its evaluation")


def held_back(table: Table, tasks: Sequence[Task], share: float) -> Table:
    """Return a table of the images that aren't kept back, with a report on its best row on those that are.

    Args:
        table: The table of all held-out images.
        tasks: Its finished runs.
        share: The share of the images to keep back.

    Raises:
        RecipeError: E124 if a run has no results per image or has images for a test, the runs were evaluated on
            different images, or too few are kept back.
    """
    if not tasks:
        return attrs.evolve(table, report=Report("held-out", share))
    known = _evaluations(tasks)
    back = is_kept_back(known[tasks[0].name], share)
    count, every = int(back.sum()), len(back)
    if count < FEWEST:
        raise _too_few(str(count), every)
    lines = tuple(
        attrs.evolve(line, cells=tuple(_without(cell, known, back) for cell in line.cells)) for line in table.lines
    )
    correct, kept_back = ({name: one.correct[part] for name, one in known.items()} for part in (~back, back))
    report, row = Report("held-out", share, every - count, count), best_row(lines)
    if row is not None and is_complete(lines):
        report = attrs.evolve(report, chosen=results_on(lines, kept_back, row, table.compared_with(row)))
    about = (_about_parts(every - count, count, lines), *report.notes(lines), *table.about)
    return attrs.evolve(table, lines=lines, about=about, correct=correct, curves={}, report=report)


def _about_parts(used: int, kept: int, lines: Sequence[Line]) -> str:
    """Return a sentence about the images of the table and of the report."""
    said = f"The table and the choice of the best row use {used:,} of {plural(used + kept, 'held-out image')}. "
    said += f"The other {kept:,}, which a hash of their names decides, are kept back to report on that row"
    if not is_complete(lines):
        return f"{said} once no run is missing."
    return f"{said}, but all runs diverged." if best_row(lines) is None else f"{said}."


def is_kept_back(held_out: HeldOut, share: float) -> npt.NDArray[np.bool_]:
    """Return whether each image is kept back: (N,).

    It follows from a hash of what identifies the image alone. So other images, seeds and rows don't change it, and
    those that a smaller share keeps back are among those of a larger one.
    """
    return np.array([position(0, SALT, name) < share for name in held_out.names], np.bool_)


def _without(cell: Cell, known: Mapping[str, HeldOut], back: npt.NDArray[np.bool_]) -> Cell:
    """Return a cell with its results on the images that aren't kept back."""
    if (held_out := known.get(cell.name)) is None:
        return cell
    return attrs.evolve(cell, top1=float(held_out.correct[~back].mean()), loss=float(held_out.losses[~back].mean()))


def _evaluations(tasks: Sequence[Task]) -> dict[str, HeldOut]:
    """Return what finished runs computed for the held-out images, by name. Raises `RecipeError` (E124)."""
    known = {task.name: _held_out(task) for task in tasks}
    for task in tasks:
        if task.test is not None:
            raise _tested(task)
        if known[task.name].images != known[tasks[0].name].images:
            raise _other_images(tasks[0], task)
    return known


def _held_out(task: Task) -> HeldOut:
    try:
        return read_held_out(task.run)
    except RecipeError as error:
        raise _unknown(task, error.diagnostics[-1].message) from None


def _tested(task: Task) -> RecipeError:
    help = f"leave {option('--holdout')} out: the best row is evaluated on the test images"
    return fail("E124", f"`{task.label}` has images for a test already", help=help)


def _labels(task: Task) -> tuple[int, str] | None:
    """Return the number of held-out images and their labels, or None if they are unknown on this machine."""
    return None if task.data is None else (task.data[1].held_out.images, task.data[1].held_out.labels)


def _other_images(one: Task, other: Task) -> RecipeError:
    rows = f"`{one.label}`, seed {one.seed}, and `{other.label}`, seed {other.seed}"
    help = f"leave {option('--holdout')} out, or leave out what changes the images"
    return fail("E124", f"{rows}, are evaluated on different images", help=help)


def _unknown(task: Task, why: str) -> RecipeError:
    message = f"{named('--holdout')} needs the results of `{task.label}`, seed {task.seed}, for each image, but {why}"
    help = f"leave {option('--holdout')} out, or delete the run to train it again"
    return fail("E124", message, help=help)


def _too_few(count: str, of: int) -> RecipeError:
    message = f"{named('--holdout')} would keep back {count} of {plural(of, 'held-out image')}; {FEWEST} are the fewest"
    help = "keep back a larger share, or hold out more images"
    return fail("E124", message, help=help)
