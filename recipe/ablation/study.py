"""Prepare and run an ablation: compile its rows, name its cells, train them, and write the table."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from recipe.ablation.cells.budget import SEEDS, Budget, planned
from recipe.ablation.cells.execute import Execution, Unfinished, Watcher, interrupted
from recipe.ablation.cells.launchers import Launcher, Workers
from recipe.ablation.cells.stamps import Stamps
from recipe.ablation.cells.store import Task, check, kept_budgets, prepare
from recipe.ablation.cells.tasks import in_order, task_of
from recipe.ablation.checks import check_confirmation, check_numbers, check_weights, compile_rows, own_model
from recipe.ablation.confirming import SEEDS as CONFIRMED
from recipe.ablation.confirming import Confirming, at_full_length
from recipe.ablation.final import evaluate, kept_results, tested
from recipe.ablation.holdout import check_holdout, held_back, share_of
from recipe.ablation.lines import correct_in, lines_of, substituted
from recipe.ablation.report import chart
from recipe.ablation.report.chosen import is_complete
from recipe.ablation.report.screening import Screening
from recipe.ablation.report.table import Table
from recipe.ablation.rows.combinations import SEEDS as SCREENED
from recipe.ablation.rows.combinations import Screen, screened
from recipe.ablation.rows.variants import Row, check_choices, laid_off, rows_of, without
from recipe.ablation.statistics.looks import Look, Until, most_seeds
from recipe.ablation.statistics.results import Cell, Line
from recipe.base import files
from recipe.base.caller import option
from recipe.base.errors import RecipeError, fail
from recipe.base.identity import digest
from recipe.base.signals import handled
from recipe.base.source import Source
from recipe.base.typed_json import Malformed, read_json
from recipe.base.wording import plural
from recipe.plan.bind import resolve
from recipe.plan.plan import Plan
from recipe.plugins.vocabulary import Vocabulary

ROOT = Path("ablations")


@attrs.frozen
class BeforeRow:
    label: str


@attrs.frozen
class Before:
    """What matters of an earlier `table.json`."""

    title: str
    recipe: str
    rows: tuple[BeforeRow, ...]
    seeds: tuple[int, ...]


@attrs.frozen
class Study:
    """An ablation that is ready to run: its rows are compiled, its seeds chosen, and its cells named."""

    rows: tuple[Row, ...]
    outline: Table
    """The table before any training."""
    folder: Path
    cells: tuple[tuple[Task, ...], ...] = attrs.field(repr=False)
    """The cells of each row, one per seed."""
    workers: Workers
    plugins: tuple[Path, ...] = ()
    """Python files that contain tricks."""
    until: Until | None = None
    """What decides how many of the seeds are used. None for all."""
    confirming: Confirming | None = attrs.field(default=None, repr=False)
    """How the best combination of a screening is confirmed. None if it isn't."""
    budgets: Mapping[str, Budget] = attrs.field(factory=dict)
    """The planned budgets, by request. They are saved when the ablation runs."""
    left_out: tuple[str, ...] = ()
    """The words of the recipe's tricks that no row has, because they choose an epoch by the held-out images."""
    holdout: float | None = None
    """The share of the held-out images that the table leaves out, to report its best row on them."""
    test: bool = True
    """Whether to evaluate the best row on the test images, if there are any."""
    untested: str = ""
    """Why that isn't possible."""

    @property
    def look(self) -> Look | None:
        """With `until`, the look that the results so far lead to."""
        look = self.until.begin(len(self.rows)) if self.until else None
        while look is not None and (following := self._after(look)) is not None:
            look = following
        return look

    def _after(self, look: Look) -> Look | None:
        table = self._table(look)
        if not is_complete(table.lines):
            return None
        return look.after(table.analysis, table.mode == "drop")

    @property
    def tasks(self) -> list[Task]:
        """All distinct runs up to the look that the results so far lead to, in their order."""
        return self._tasks(self.look)

    def _tasks(self, look: Look | None) -> list[Task]:
        """Return the runs of a look, in their order."""
        seeds = look.seeds if look else [len(self.outline.seeds)] * len(self.rows)
        return in_order([cells[:count] for cells, count in zip(self.cells, seeds, strict=True)])

    def _to_confirm(self, look: Look | None) -> list[Task]:
        """Return the runs that confirm the best combination of a screening after its last look, if any."""
        if self.confirming is None or not isinstance(table := self._table(look), Screening):
            return []
        return self.confirming.tasks(table)

    @property
    def epochs(self) -> str:
        """The length of its runs, in words."""
        counts = sorted({row.plan.training.epochs for row in self.rows})
        return f"{' or '.join(map(str, counts))} epoch{'s' * (counts != [1])}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings from tricks, with their rows, and what no row has.

        Those from published tables are left out, because the ablation tests them.
        """
        said: dict[str, list[str]] = {}
        for row in self.rows:
            for warning in row.plan.warnings:
                if warning.code == "W001":
                    said.setdefault(warning.message, []).append(f"`{row.label}`")
        of = {text: "" if len(where) == len(self.rows) else f" for {', '.join(where)}" for text, where in said.items()}
        warnings = [f"Warning{of[text]}: {text}." for text in said]
        if self.left_out:
            words = " and ".join(f"`{word}`" for word in self.left_out)
            warnings.append(f"Every row is trained without {words}, and compared by its last epoch.")
        return tuple(warnings)

    def table(self, images: bool = True) -> Table:
        """Return the table with the results so far. ``images``: with the uncertainty of the held-out images."""
        table = self._table(self.look, images)
        if self.test:
            table = tested(table, self.cells, self.folder, self.untested)
        if self.confirming is None or not isinstance(table, Screening) or not is_complete(table.lines):
            return table
        with contextlib.suppress(RecipeError):  # `run` reports why the best combination can't be trained
            return attrs.evolve(table, confirmation=self.confirming.confirmation(table))
        return table

    def _table(self, look: Look | None, images: bool = True) -> Table:
        """Return the table at some look."""
        seeds = look.seeds if look else [len(self.outline.seeds)] * len(self.rows)
        lines = []
        for row, line, tasks, count in zip(self.rows, self.outline.lines, self.cells, seeds, strict=True):
            used = tuple(task.cell() for task in tasks[:count])
            left = (Cell(task.name, task.seed, "left") for task in tasks[count : max(seeds)])
            note = "; ".join(filter(None, (line.note, substituted(row.plan.training.precision, used))))
            lines.append(attrs.evolve(line, cells=(*used, *left), note=note))
        data = dict.fromkeys(use.statement() for row in self.rows if (use := row.plan.images))
        batches = sorted({row.plan.training.batch for row in self.rows})
        about = f"{' or '.join(data)}; {self.epochs}, batch {' or '.join(map(str, batches))}."
        finished = {cell.name for line in lines for cell in line.cells if cell.status == "finished"}
        done = [task for task in self._tasks(look) if task.name in finished]
        seeds_used = self.outline.seeds[: max(seeds)]
        table = attrs.evolve(
            self.outline, seeds=seeds_used, lines=tuple(lines), about=(about, *self.warnings), look=look
        )
        if self.holdout is not None:
            return held_back(table, done, self.holdout)
        curves, correct = {task.name: task.curve() for task in done}, correct_in(done) if images else {}
        return attrs.evolve(table, correct=correct, curves=curves)

    def replaced(self) -> list[str]:
        """Return a note if the folder holds a table that would be overwritten and is not part of this one."""
        try:
            before = read_json(self.folder / "table.json", Before)
        except (OSError, Malformed):
            return []
        then = before.title, before.recipe, [row.label for row in before.rows]
        same = then == (self.outline.title, self.outline.recipe, [row.label for row in self.rows])
        part = same and {*before.seeds} <= {*self.outline.seeds}
        what = "is of another recipe, or has other rows or more seeds"
        return [] if part else [f"replacing the table in {self.folder}, which {what}; its runs are kept"]

    def write(self, tell: Callable[[str], None] = lambda text: None, images: bool = True) -> Table:
        """Write the table as Markdown, CSV and JSON, draw its chart, and return the table.

        If the chart can't be drawn, ``tell`` gets a warning. See `table` for ``images``.
        """
        table, folder = self.table(images), self.folder
        files.write_text(folder / "table.md", table.to_markdown())
        files.write_text(folder / "table.csv", table.to_csv())
        files.write_text(folder / "table.json", table.to_json())
        if problem := chart.write(table, folder):
            tell(problem)
        return table

    def run(self, watcher: Watcher | None = None, launcher: Launcher | None = None) -> Table:
        """Run the missing cells, write the table and its chart, and return the table.

        ``launcher`` replaces the one that ``workers`` names. Raises `Unfinished` if runs failed, once all others are
        done.
        """
        workers, plugins = self.workers, tuple(map(os.path.abspath, self.plugins))
        launcher, watcher = launcher or workers.launched_from(self.folder), watcher or Watcher()
        if self.test:
            kept_results(self.folder)  # to report damage now
        prepare(self.folder, self.cells[0][0].folder, self.budgets)
        devices, threads = workers.devices, workers.threads

        def execute(tasks: list[Task]) -> None:
            Execution(self.folder, launcher, workers.jobs, devices, threads, plugins, watcher).run(tasks)

        try:
            look = self.look
            while True:
                execute(self._tasks(look))
                if look is None or (following := self._after(look)) is None:
                    break
                unsettled, seeds = len(self._table(look).unsettled), plural(max(following.seeds), "seed")
                watcher.note(f"look {look.number}: {plural(unsettled, 'trick')} to settle, with up to {seeds}")
                look = following
            if again := self._to_confirm(look):
                if any(task.cell().status == "missing" for task in again):
                    watcher.note("the best combination is trained under new seeds")
                execute(again)
            made = self._evaluated(watcher) if self.test else self
        except Unfinished as error:
            error.table = self.write(watcher.note)
            raise
        except BaseException:
            with contextlib.suppress(Exception):  # report the first error, not one from writing
                self.write(images=False)  # the results so far, without reading all evaluations
            raise
        return made.write(watcher.note)

    def _evaluated(self, watcher: Watcher) -> Study:
        """Evaluate the best row on the test images, if there are any and it has not been."""

        def stop(number: int, frame: object) -> None:
            raise interrupted(number, self.folder)

        device = self.workers.devices[0] if self.workers.local else None
        with handled(stop):
            why = evaluate(self._table(self.look, images=False), self.cells, self.folder, device, watcher.note)
        return attrs.evolve(self, untested=why)


def study(
    recipe: str | Path | Source | Plan,
    *statements: str,
    mode: str,
    over: str | Sequence[str] = (),
    seeds: int | None = None,
    resolution: int | None = None,
    runs: int | None = None,
    until: float | None = None,
    confirm: bool = False,
    short: str | None = None,
    budget: str | None = None,
    holdout: str | float | None = None,
    test: bool = True,
    out: str | Path | None = None,
    workers: Workers | None = None,
    plugins: Vocabulary | Sequence[str | Path] = (),
    name: str = "ablation",
    tell: Callable[[str], None] = lambda text: None,
) -> Study:
    """Prepare an ablation: bind and compile every row, choose the seeds, and name the cells. Raises `RecipeError`."""
    check_numbers(mode, seeds, resolution, runs, until, budget)
    check_confirmation(mode, confirm, short, budget, holdout)
    share = share_of(holdout)
    if out is not None and not str(out).strip():
        raise fail("E113", "the name of the ablation's folder is empty", help=f"name a folder with {option('--out')}")
    workers = workers or Workers()
    over = (over,) if isinstance(over, str) else over
    plan = resolve(recipe, *statements, plugins=plugins, data=True)
    if plan.model == "module":
        raise own_model(plan)
    left_out = laid_off(plan)
    plan = whole = without(plan, left_out)
    if short is not None:
        plan = resolve(plan, short, data=True)
    screen = screened(plan, over, resolution, runs) if mode == "screen" else None
    rows = screen.rows if screen else rows_of(plan, mode, over)
    check_choices(rows)
    programs = compile_rows(rows)
    stamps = Stamps.of(programs, workers.local)
    named = digest(
        json.dumps([mode, *(row.plan.digest for row in rows), *(stamps.stamp(row.plan) for row in rows)]).encode()
    )
    folder = Path(out) if out is not None else ROOT / f"{name}-{mode}-{named[:8]}"
    check(folder)
    count, budgets = seeds or (screen.seeds if screen else SEEDS), dict[str, Budget]()
    if until is not None:
        count = most_seeds(len(rows), seeds, runs)
    if budget is not None:
        maker = plan.maker("epochs")
        if any(word == maker for row in rows for unit in row.on for word in unit.words):
            raise fail("E127", f"`{maker}` is studied, but --budget sets it", help=f"omit --budget or `{maker}`")
        by = f"{workers.jobs} at a time, {workers.launcher}, {workers.device or 'any device'}"
        confirming_runs = 2 * CONFIRMED if confirm else 0
        asked = f"{named}: {budget}, {seeds or 'fitting'} seeds, {by}" + f", {confirming_runs} to confirm" * confirm
        before, plans = kept_budgets(folder).get(asked), [row.plan for row in rows]
        budgets[asked] = planned(plans, budget, seeds, workers, confirming_runs, before, tell)
        count, epochs = budgets[asked].seeds, budgets[asked].epochs
        if epochs != plan.training.epochs:
            plan = resolve(plan, f"{maker} {epochs}", data=True)
            screen = screened(plan, over, resolution) if screen else None
            rows = screen.rows if screen else rows_of(plan, mode, over)
    chosen = tuple(range(plan.training.seed, plan.training.seed + count))
    shared = (folder if out is not None else ROOT) / "cells"  # by ablations without --out
    cells = (tuple(task_of(shared, row.seeded(seed), seed, row.label, stamps) for seed in chosen) for row in rows)
    outline, confirming = _outline(name, mode, plan, chosen, lines_of(rows, programs, mode), screen), None
    if screen and isinstance(outline, Screening) and (confirm or short):
        fresh = tuple(range(chosen[-1] + 1, chosen[-1] + 1 + CONFIRMED))
        again = screen.combinations if short is None else at_full_length(screen.units, whole, over)
        confirming = Confirming(again, fresh, shared, short is not None, workers.local)
        confirming.check()
        outline = attrs.evolve(outline, statements=again.statements, short=short or "")
    first = min(SCREENED if screen else SEEDS, count)
    stop = Until(until / 100, first, count) if until is not None else None
    made = Study(
        rows, outline, folder, tuple(cells), workers, plan.vocabulary.files, stop, confirming, budgets, left_out
    )
    made = attrs.evolve(made, holdout=share, test=test and share is None and short is None)
    check_holdout(share, [task for row in made.cells for task in row])
    if workers.local:
        check_weights([task.plan for task in made.tasks if task.cell().status == "missing"])
    return made


def _outline(
    name: str, mode: str, plan: Plan, seeds: tuple[int, ...], lines: tuple[Line, ...], screen: Screen | None
) -> Table:
    """Return the table before any training."""
    common = (f"{name}, {mode}", mode, plan.canonical(), seeds, lines)
    if screen is None:
        return Table(*common)
    return Screening(
        *common,
        units=screen.units,
        design=screen.design,
        replaced=screen.replaced,
        statements=screen.combinations.statements,
    )
