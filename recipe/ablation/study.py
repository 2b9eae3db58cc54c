"""An ablation before its first run: rows bound and compiled, a budget planned, seeds chosen, every cell named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from recipe.ablation.budget import SEEDS, Budget, planned
from recipe.ablation.chart import draw
from recipe.ablation.resources import Workers
from recipe.ablation.store import Home, Task
from recipe.ablation.table import Cell, Line, Table
from recipe.ablation.variants import Row, rows_of
from recipe.base import files
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.identity import digest
from recipe.base.source import Source
from recipe.compiler.cache import outside
from recipe.plan.bind import resolve
from recipe.plan.plan import Plan
from recipe.plugins.vocabulary import Vocabulary

if TYPE_CHECKING:
    from recipe.compiler.program import Program

ROOT = Path("ablations")


@attrs.frozen
class Study:
    """An ablation that can be run: its rows are compiled, its seeds chosen, its cells named."""

    title: str
    mode: str
    recipe: str
    """The canonical text of the recipe that is studied."""
    rows: tuple[Row, ...]
    costs: tuple[tuple[int, int], ...]
    """Parameters and MACs of each row."""
    notes: tuple[str, ...]
    """What is odd about each row; empty where nothing is."""
    warnings: tuple[str, ...]
    """What the recipe's tricks warn of, and in which rows."""
    seeds: tuple[int, ...]
    home: Home
    cells: tuple[tuple[Task, ...], ...] = attrs.field(repr=False)
    """Of each row, its cell under each seed."""
    budgets: Mapping[str, Budget] = attrs.field(factory=dict)
    """What was planned for budgets, by what was asked; it is kept when this is run."""

    @property
    def tasks(self) -> list[Task]:
        """All runs, each once: teachers, then every row of the first seed, then of the next, so that what there is
        can be compared."""
        cells = [row[at] for at in range(len(self.seeds)) for row in self.cells]
        found: dict[str, Task] = {}
        for task in (*_teachers(cells), *cells):
            found.setdefault(task.name, task)
        return list(found.values())

    @property
    def epochs(self) -> str:
        """How long its runs are, in words."""
        counts = sorted({row.plan.training.epochs for row in self.rows})
        return f"{' or '.join(map(str, counts))} epoch{'s' * (counts != [1])}"

    def table(self) -> Table:
        """The table, as far as its cells have come."""
        lines = []
        for row, (params, macs), note, tasks in zip(self.rows, self.costs, self.notes, self.cells, strict=True):
            cells = tuple(map(self.home.cell, tasks))
            statements = row.unit.statements if row.unit else ()
            said = "; ".join(filter(None, (note, _substituted(row.plan.training.precision, cells))))
            lines.append(Line(row.label, row.reference, statements, params, macs, cells, said))
        data = dict.fromkeys(use.statement() for row in self.rows if (use := row.plan.images))
        batches = sorted({row.plan.training.batch for row in self.rows})
        about = f"{' or '.join(data)}; {self.epochs}, batch {' or '.join(map(str, batches))}."
        return Table(self.title, self.mode, self.recipe, self.seeds, tuple(lines), (about, *self.warnings))

    def replaced(self) -> list[str]:
        """What to say of a table in the folder that is not a part of this one, and will be written over."""
        try:
            before = json.loads((self.home.folder / "table.json").read_text("utf-8"))
            labels, seeds = [row["label"] for row in before["rows"]], {*before["seeds"]}
            same = (before["title"], labels) == (self.title, [row.label for row in self.rows])
        except (OSError, ValueError, KeyError, TypeError):
            return []
        if same and seeds <= {*self.seeds}:
            return []
        return [f"the table in {self.home.folder} is of other rows or of more seeds, and is replaced; its runs stay"]

    def write(self) -> Table:
        """Write the table as Markdown, CSV and JSON, and its chart; gives the table."""
        table, folder = self.table(), self.home.folder
        files.write_text(folder / "table.md", table.to_markdown())
        files.write_text(folder / "table.csv", table.to_csv())
        files.write_text(folder / "table.json", table.to_json())
        draw(table, folder)
        return table


def study(
    recipe: str | Path | Source | Plan,
    *statements: str,
    mode: str,
    over: Sequence[str] = (),
    seeds: int | None = None,
    budget: str | None = None,
    out: str | Path | None = None,
    workers: Workers | None = None,
    vocabulary: Vocabulary | None = None,
    name: str = "ablation",
    tell: Callable[[str], None] = lambda text: None,
) -> Study:
    """All of an ablation that comes before its first run: every row is bound and compiled, or told what is wrong."""
    if seeds is not None and seeds < 1:
        raise fail("E124", f"an ablation needs a seed or more, not {seeds}")
    if out is not None and not str(out).strip():
        raise fail("E113", "the ablation's folder has no name", help="name one with --out")
    words, workers, over = vocabulary or Vocabulary.installed(), workers or Workers(), _several(over)
    plan = resolve(recipe, *statements, vocabulary=words, data=True)
    rows = rows_of(plan, mode, over)
    programs = _compiled(rows)
    images = _opened(programs) if workers.local else {}  # else they need not be here
    stamps = [_stamp(row.plan, images) for row in rows]
    named = digest(json.dumps([mode, *(row.plan.digest for row in rows), *stamps]).encode())
    home = _home(out, f"{name}-{mode}-{named[:8]}")
    home.check()
    count, budgets = seeds or SEEDS, dict[str, Budget]()
    if budget is not None:
        maker = plan.maker("epochs")
        if any(word == maker for row in rows for unit in row.on for word in unit.words):
            raise fail("E127", f"`{maker}` is studied, and --budget chooses them", help="leave out one of the two")
        asked = f"{named}: {budget}, {seeds or 'fitting'} seeds, {workers.described}"
        budgets[asked] = planned([row.plan for row in rows], budget, seeds, workers, home.budgets().get(asked), tell)
        count, epochs = budgets[asked].seeds, budgets[asked].epochs
        if epochs != plan.training.epochs:
            plan = resolve(plan, f"{maker} {epochs}", vocabulary=words, data=True)
            rows = rows_of(plan, mode, over)
    first = plan.training.seed
    chosen = tuple(range(first, first + count))
    cells = tuple(tuple(_task(row.seeded(seed), seed, row.label, images) for seed in chosen) for row in rows)
    costs = tuple((program.costs.params, program.costs.macs) for program in programs)
    return Study(
        title=f"{name}, {mode}",
        mode=mode,
        recipe=plan.canonical(),
        rows=rows,
        costs=costs,
        notes=_notes(rows, programs, mode),
        warnings=_warnings(rows),
        seeds=chosen,
        home=home,
        cells=cells,
        budgets=budgets,
    )


def _several(over: str | Sequence[str]) -> Sequence[str]:
    return (over,) if isinstance(over, str) else over


def _home(out: str | Path | None, name: str) -> Home:
    """The folders: one that is named holds everything; those without a name share their cells."""
    return Home(Path(out), Path(out) / "cells") if out is not None else Home(ROOT / name, ROOT / "cells")


def _compiled(rows: Sequence[Row]) -> list[Program]:
    """The program of every row, on the meta device, and its teachers looked at; all that can't be is told at once."""
    from recipe.compiler.lower import lower
    from recipe.training.teachers import teachers_of

    programs, errors = [], list[Diagnostic]()
    for row in rows:
        try:
            programs.append(lower(row.plan, device="meta"))
            teachers_of(row.plan, programs[-1].classes)
        except RecipeError as error:
            errors += [attrs.evolve(one, message=f"row `{row.label}`: {one.message}") for one in error.diagnostics]
    if errors:
        raise RecipeError(*dict.fromkeys(errors))
    return programs


def _opened(programs: Sequence[Program]) -> dict[str, list[int]]:
    """How many classes and images each data set has, by its statement; each model must tell so many classes apart."""
    from recipe.training.setup import open_sets

    found: dict[str, list[int]] = {}
    for program in programs:
        named = _images(program.plan)
        if named not in found:
            sets = open_sets(program.plan)
            found[named] = [sets.classes, len(sets.train.labels), len(sets.val.labels)]
        program.check_classes(found[named][0])
    return found


def _images(plan: Plan) -> str:
    return plan.images.statement() if plan.images else ""


def _notes(rows: Sequence[Row], programs: Sequence[Program], mode: str) -> tuple[str, ...]:
    """What is odd about each row; empty where nothing is."""
    notes = []
    for row, program in zip(rows, programs, strict=True):
        same = row.reference is not None and rows[row.reference].plan.digest == row.plan.digest
        looked_at = programs[0] if mode == "drop" else program  # the one in which the trick is on
        steps = [step for step in looked_at.steps if row.unit and step.word in row.unit.words]
        already = bool(steps) and not any(step.edits for step in steps)
        said = ["the same recipe" if same else "already so" if already else ""]
        notes.append("; ".join(filter(None, [*said, *(f"`{word}` gave way" for word in row.gave_way)])))
    return tuple(notes)


def _warnings(rows: Sequence[Row]) -> tuple[str, ...]:
    """What tricks warn of, with the rows that it is about; what published tables say is what is being tried."""
    said: dict[str, list[str]] = {}
    for row in rows:
        for warning in row.plan.warnings:
            if warning.code == "W001":
                said.setdefault(warning.message, []).append(f"`{row.label}`")
    of = {text: "" if len(where) == len(rows) else f" of {', '.join(where)}" for text, where in said.items()}
    return tuple(f"Warning{of[text]}: {text}." for text in said)


def _stamp(plan: Plan, images: Mapping[str, Sequence[int]]) -> str:
    """Eight digits that tell what a plan's digest does not: of its images, its files, its plugins and its teachers'."""
    return digest("\n".join(sorted({*_outside(plan, images)})).encode())[:8]


def _outside(plan: Plan, images: Mapping[str, Sequence[int]]) -> Iterator[str]:
    from recipe.training.teachers import named_teachers

    try:
        found = outside(plan)
    except (OSError, RecipeError):  # the images are on another machine
        found = {}
    yield json.dumps([found, images.get(_images(plan))], sort_keys=True)
    for _, _, teacher in named_teachers(plan):
        yield from _outside(teacher, images)


def _task(plan: Plan, seed: int, label: str, images: Mapping[str, Sequence[int]]) -> Task:
    """A cell, after the runs of its teachers."""
    from recipe.training.teachers import named_teachers

    named = named_teachers(plan)
    below = (_task(one, one.training.seed, f"teacher {path.name}", images) for _, path, one in named)
    return Task(plan, seed, label, _stamp(plan, images), tuple(below))


def _teachers(tasks: Sequence[Task]) -> list[Task]:
    """The teachers of some cells, theirs first."""
    return [one for task in tasks for teacher in task.teachers for one in (*_teachers([teacher]), teacher)]


def _substituted(asked: str, cells: Sequence[Cell]) -> str:
    """What to say of cells that were computed in another precision than the recipe asks for."""
    others = [cell.precision for cell in cells if cell.precision not in (None, asked)]
    if not others:
        return ""
    some = "" if len(others) == len(cells) else f"{len(others)} of {len(cells)} "
    return f"{some}in {others[0]}, for want of {asked}"
