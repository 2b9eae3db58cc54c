"""An ablation: before its first run, when its rows are compiled and its cells named; run; and from Python at once."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from recipe.ablation.budget import SEEDS, Budget, planned
from recipe.ablation.execute import Execution, Unfinished, Watcher
from recipe.ablation.launchers import Launcher, Workers
from recipe.ablation.store import Task, check, kept_budgets, prepare
from recipe.ablation.table import Cell, Line, Table, draw
from recipe.ablation.variants import Row, of_row, rows_of
from recipe.base import files
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.identity import digest
from recipe.base.source import Source
from recipe.compiler.cache import outside
from recipe.compiler.lower import lower
from recipe.compiler.program import Program
from recipe.plan.bind import resolve
from recipe.plan.plan import Plan
from recipe.plugins.vocabulary import Vocabulary
from recipe.training.setup import open_sets
from recipe.training.teachers import named_teachers, teachers_of

ROOT = Path("ablations")


@attrs.frozen
class Study:
    """An ablation that can be run: its rows are compiled, its seeds chosen, its cells named."""

    rows: tuple[Row, ...]
    outline: Table
    """Its table before anything is trained."""
    folder: Path
    cells: tuple[tuple[Task, ...], ...] = attrs.field(repr=False)
    """Of each row, its cell under each seed."""
    workers: Workers
    plugins: Sequence[str] = ()
    """Files with tricks."""
    budgets: Mapping[str, Budget] = attrs.field(factory=dict)
    """What was planned for budgets, by what was asked; it is kept when this is run."""

    @property
    def tasks(self) -> list[Task]:
        """All runs, each once: teachers, then every row of the first seed, then of the next, so that rows compare."""
        cells = [cell for of_seed in zip(*self.cells, strict=True) for cell in of_seed]
        tasks: dict[str, Task] = {}
        for task in (*_teachers(cells), *cells):
            tasks.setdefault(task.name, task)
        return list(tasks.values())

    @property
    def epochs(self) -> str:
        """How long its runs are, in words."""
        counts = sorted({row.plan.training.epochs for row in self.rows})
        return f"{' or '.join(map(str, counts))} epoch{'s' * (counts != [1])}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What tricks warn of, with the rows that it is about; what published tables say is what is being tried."""
        said: dict[str, list[str]] = {}
        for row in self.rows:
            for warning in row.plan.warnings:
                if warning.code == "W001":
                    said.setdefault(warning.message, []).append(f"`{row.label}`")
        of = {text: "" if len(where) == len(self.rows) else f" of {', '.join(where)}" for text, where in said.items()}
        return tuple(f"Warning{of[text]}: {text}." for text in said)

    def table(self) -> Table:
        """The table, as far as its cells have come."""
        lines = []
        for row, line, tasks in zip(self.rows, self.outline.lines, self.cells, strict=True):
            cells = tuple(task.cell() for task in tasks)
            note = "; ".join(filter(None, (line.note, _substituted(row.plan.training.precision, cells))))
            lines.append(attrs.evolve(line, cells=cells, note=note))
        data = dict.fromkeys(use.statement() for row in self.rows if (use := row.plan.images))
        batches = sorted({row.plan.training.batch for row in self.rows})
        about = f"{' or '.join(data)}; {self.epochs}, batch {' or '.join(map(str, batches))}."
        return attrs.evolve(self.outline, lines=tuple(lines), about=(about, *self.warnings))

    def replaced(self) -> list[str]:
        """What to say of a table in the folder that is not a part of this one, and will be written over."""
        try:
            before = json.loads((self.folder / "table.json").read_text("utf-8"))
            labels, seeds = [row["label"] for row in before["rows"]], {*before["seeds"]}
            same = (before["title"], labels) == (self.outline.title, [row.label for row in self.rows])
            part = same and seeds <= {*self.outline.seeds}
        except (OSError, ValueError, KeyError, TypeError):
            part = True
        said = f"the table in {self.folder} is of other rows or of more seeds, and is replaced; its runs stay"
        return [] if part else [said]

    def write(self) -> Table:
        """Write the table as Markdown, CSV and JSON, and its chart; gives the table."""
        table, folder = self.table(), self.folder
        files.write_text(folder / "table.md", table.to_markdown())
        files.write_text(folder / "table.csv", table.to_csv())
        files.write_text(folder / "table.json", table.to_json())
        draw(table, folder)
        return table

    def run(self, watcher: Watcher | None = None, launcher: Launcher | None = None) -> Table:
        """Run what is missing, and write the table and its chart.

        The ``launcher`` is the one that ``workers`` name unless another is given. Raises `Unfinished` where runs
        failed, once all others are made.
        """
        workers, plugins = self.workers, tuple(map(os.path.abspath, self.plugins))
        launcher, watcher = launcher or workers.launched_from(self.folder), watcher or Watcher()
        prepare(self.folder, self.cells[0][0].folder, self.budgets)
        devices, threads = workers.devices, workers.threads
        try:
            Execution(self.folder, launcher, workers.jobs, devices, threads, plugins, watcher).run(self.tasks)
        except Unfinished as error:
            error.table = self.write()
            raise
        except BaseException:
            with contextlib.suppress(Exception):  # the first reason is the one to tell
                self.write()  # what there is so far
            raise
        return self.write()


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
    plugins: Sequence[str] = (),
    name: str = "ablation",
    tell: Callable[[str], None] = lambda text: None,
) -> Study:
    """All of an ablation that comes before its first run: every row is bound and compiled, or told what is wrong."""
    if seeds is not None and seeds < 1:
        raise fail("E124", f"an ablation needs a seed or more, not {seeds}")
    if out is not None and not str(out).strip():
        raise fail("E113", "the ablation's folder has no name", help="name one with --out")
    words, workers = vocabulary or Vocabulary.installed(map(Path, plugins)), workers or Workers()
    over = (over,) if isinstance(over, str) else over
    plan = resolve(recipe, *statements, vocabulary=words, data=True)
    rows = rows_of(plan, mode, over)
    programs = _compiled(rows)
    images = _opened(programs) if workers.local else {}  # else they need not be here
    stamps = [_stamp(row.plan, images) for row in rows]
    named = digest(json.dumps([mode, *(row.plan.digest for row in rows), *stamps]).encode())
    folder = Path(out) if out is not None else ROOT / f"{name}-{mode}-{named[:8]}"
    check(folder)
    count, budgets = seeds or SEEDS, dict[str, Budget]()
    if budget is not None:
        maker = plan.maker("epochs")
        if any(word == maker for row in rows for unit in row.on for word in unit.words):
            raise fail("E127", f"`{maker}` is studied, and --budget chooses them", help="leave out one of the two")
        by = f"{workers.jobs} at a time, {workers.launcher}, {workers.device or 'any device'}"
        asked = f"{named}: {budget}, {seeds or 'fitting'} seeds, {by}"
        before, plans = kept_budgets(folder).get(asked), [row.plan for row in rows]
        budgets[asked] = planned(plans, budget, seeds, workers, before, tell)
        count, epochs = budgets[asked].seeds, budgets[asked].epochs
        if epochs != plan.training.epochs:
            plan = resolve(plan, f"{maker} {epochs}", vocabulary=words, data=True)
            rows = rows_of(plan, mode, over)
    chosen = tuple(range(plan.training.seed, plan.training.seed + count))
    shared = (folder if out is not None else ROOT) / "cells"  # by ablations without a name
    cells = (tuple(_task(shared, row.seeded(seed), seed, row.label, images) for seed in chosen) for row in rows)
    outline = Table(f"{name}, {mode}", mode, plan.canonical(), chosen, _lines(rows, programs, mode))
    return Study(rows, outline, folder, tuple(cells), workers, plugins, budgets)


def ablate(
    recipe: str | Path | Source | Plan,
    *statements: str,
    mode: str,
    over: Sequence[str] = (),
    seeds: int | None = None,
    budget: str | None = None,
    out: str | Path | None = None,
    device: str | None = None,
    jobs: int = 1,
    launcher: str = "local",
    options: Mapping[str, str] | None = None,
    plugins: Sequence[str] = (),
) -> Table:
    """Run an ablation of a recipe: text, a path or a plan; gives its table.

    ``mode`` is ``stack``, ``drop`` or ``add``; ``over`` names what is studied, each a statement or several, else it is
    every trick that the recipe states; ``seeds`` is how many there are (3). A ``budget`` such as ``20m`` plans seeds
    and epochs to fit. ``out`` is the folder; what is there already is not run again. ``plugins`` are files with tricks.
    Raises `RecipeError` before anything is trained where a row can't be, `Unfinished` where runs fail, with the table
    of the others, and `Interrupted`.
    """
    workers = Workers(device, jobs, launcher, options or {})
    made = study(
        recipe, *statements, mode=mode, over=over, seeds=seeds, budget=budget, out=out, workers=workers, plugins=plugins
    )
    return made.run()


def _compiled(rows: Sequence[Row]) -> list[Program]:
    """The program of every row, on the meta device, and its teachers looked at; all that can't be is told at once."""
    programs, errors = [], list[Diagnostic]()
    for row in rows:
        try:
            programs.append(lower(row.plan, device="meta"))
            teachers_of(row.plan, programs[-1].classes)
        except RecipeError as error:
            errors += of_row(row.label, error)
    if errors:
        raise RecipeError(*dict.fromkeys(errors))
    return programs


def _opened(programs: Sequence[Program]) -> dict[str, list[int]]:
    """How many classes and images each data set has, by its statement; each model must tell so many classes apart."""
    counts: dict[str, list[int]] = {}
    for program in programs:
        named = _images(program.plan)
        if named not in counts:
            sets = open_sets(program.plan)
            counts[named] = [sets.classes, len(sets.train.labels), len(sets.val.labels)]
        program.check_classes(counts[named][0])
    return counts


def _images(plan: Plan) -> str:
    return plan.images.statement() if plan.images else ""


def _lines(rows: Sequence[Row], programs: Sequence[Program], mode: str) -> tuple[Line, ...]:
    """The rows of the table: what each costs, and what is odd about it."""
    lines = []
    for row, program in zip(rows, programs, strict=True):
        words, statements = (row.unit.words, row.unit.statements) if row.unit else ((), ())
        same = row.reference is not None and rows[row.reference].plan.digest == row.plan.digest
        looked_at = programs[0] if mode == "drop" else program  # the one in which the trick is on
        steps = [step for step in looked_at.steps if step.word in words]
        already = bool(steps) and not any(step.edits for step in steps)
        said = ["the same recipe"] if same else ["already so"] if already else []
        note = "; ".join([*said, *(f"`{word}` gave way" for word in row.gave_way)])
        costs = program.costs
        lines.append(Line(row.label, row.reference, statements, costs.params, costs.macs, note=note))
    return tuple(lines)


def _stamp(plan: Plan, images: Mapping[str, Sequence[int]]) -> str:
    """Eight digits that tell what a plan's digest does not: of its images, its files, its plugins and its teachers'."""
    return digest("\n".join(sorted({*_outside(plan, images)})).encode())[:8]


def _outside(plan: Plan, images: Mapping[str, Sequence[int]]) -> Iterator[str]:
    try:
        files_and_code = outside(plan)
    except (OSError, RecipeError):  # the images are on another machine
        files_and_code = {}
    yield json.dumps([files_and_code, images.get(_images(plan))], sort_keys=True)
    for _, _, teacher in named_teachers(plan):
        yield from _outside(teacher, images)


def _task(folder: Path, plan: Plan, seed: int, label: str, images: Mapping[str, Sequence[int]]) -> Task:
    """A cell, after the runs of its teachers."""
    teachers = (
        _task(folder, teacher, teacher.training.seed, f"teacher {path.name}", images)
        for _, path, teacher in named_teachers(plan)
    )
    return Task(folder, plan, seed, label, _stamp(plan, images), tuple(teachers))


def _teachers(tasks: Sequence[Task]) -> list[Task]:
    """The teachers of some cells, theirs first."""
    below = [teacher for task in tasks for teacher in task.teachers]
    return [taught for teacher in below for taught in (*_teachers([teacher]), teacher)]


def _substituted(asked: str, cells: Sequence[Cell]) -> str:
    """What to say of cells that were computed in another precision than the recipe asks for."""
    others = [cell.precision for cell in cells if cell.precision not in (None, asked)]
    some = "" if len(others) == len(cells) else f"{len(others)} of {len(cells)} "
    return f"{some}in {others[0]}, for want of {asked}" if others else ""
