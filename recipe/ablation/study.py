"""Run an ablation: train its cells, write its table, and evaluate its best row."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from recipe.ablation.cells.budget import Budget
from recipe.ablation.cells.execute import Execution, Unfinished, Watcher, interrupted
from recipe.ablation.cells.launchers import Launcher
from recipe.ablation.cells.store import Task, prepare
from recipe.ablation.cells.tasks import correct_in, in_order
from recipe.ablation.confirming import Confirming
from recipe.ablation.final import evaluate, kept_results, tested
from recipe.ablation.holdout import held_back
from recipe.ablation.lines import substituted
from recipe.ablation.report import chart
from recipe.ablation.report.chosen import is_complete
from recipe.ablation.report.screening import Screening
from recipe.ablation.report.table import Table
from recipe.ablation.request import Request
from recipe.ablation.rows.variants import Row
from recipe.ablation.statistics.looks import Look, Until
from recipe.ablation.statistics.results import Cell, Line
from recipe.base import files
from recipe.base.errors import RecipeError
from recipe.base.signals import handled
from recipe.base.wording import plural


@attrs.frozen(kw_only=True)
class Study:
    """An ablation that is ready to run: its rows are compiled, its seeds chosen, and its cells named."""

    request: Request
    folder: Path
    rows: tuple[Row, ...]
    outline: Table
    """The table before any training."""
    cells: tuple[tuple[Task, ...], ...] = attrs.field(repr=False)
    """The cells of each row, one per seed."""
    until: Until | None = None
    """What decides how many of the seeds are used. None for all."""
    confirming: Confirming | None = attrs.field(default=None, repr=False)
    """How the best combination of a screening is confirmed. None if it isn't."""
    budgets: Mapping[str, Budget] = attrs.field(factory=dict)
    """The planned budgets, by name. They are saved when the ablation runs."""
    left_out: tuple[str, ...] = ()
    """The words of the recipe's tricks that no row has, because they choose an epoch by the held-out images."""
    untested: str = ""
    """Why what is best can't be evaluated on the test images."""

    @property
    def plugins(self) -> tuple[Path, ...]:
        """The Python files that contain tricks."""
        return self.rows[0].plan.vocabulary.files

    @property
    def look(self) -> Look | None:
        """With `until`, the look that the results so far lead to."""
        look = self.until.begin(len(self.rows)) if self.until else None
        while look is not None and (following := self._after(look)) is not None:
            look = following
        return look

    def _after(self, look: Look) -> Look | None:
        """Return the look after another one, or None if it is the last, or its runs are missing."""
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
        return in_order([cells[:count] for cells, count in zip(self.cells, self._seeds(look), strict=True)])

    def _seeds(self, look: Look | None) -> tuple[int, ...]:
        """Return the number of seeds of each row at a look."""
        return look.seeds if look else (len(self.outline.seeds),) * len(self.rows)

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

    @property
    def _about(self) -> str:
        """The images and the length of its runs, in a sentence."""
        data = dict.fromkeys(use.statement() for row in self.rows if (use := row.plan.images))
        batches = sorted({row.plan.training.batch for row in self.rows})
        return f"{' or '.join(data)}; {self.epochs}, batch {' or '.join(map(str, batches))}."

    def table(self, images: bool = True) -> Table:
        """Return the table with the results so far. ``images``: with the uncertainty of the held-out images."""
        table = self._confirmed(self._table(self.look, images))
        return tested(table, self._all(table), self.folder, self.untested) if self.request.evaluates_test else table

    def _confirmed(self, table: Table) -> Table:
        """Return a table with what its confirmation has measured so far, if it has one."""
        if self.confirming is None or not isinstance(table, Screening) or not is_complete(table.lines):
            return table
        with contextlib.suppress(RecipeError):  # `run` reports why the best combination can't be trained
            return attrs.evolve(table, confirmation=self.confirming.confirmation(table))
        return table

    def _all(self, table: Table) -> list[Task]:
        """Return all runs of a table and of its confirmation."""
        tasks = [task for row in self.cells for task in row]
        if self.confirming is not None and isinstance(table, Screening) and table.confirmation is not None:
            tasks += self.confirming.tasks(table)
        return tasks

    def _table(self, look: Look | None, images: bool = True) -> Table:
        """Return the table at a look."""
        seeds = self.outline.seeds[: max(self._seeds(look))]
        lines, about = self._lines(look), (self._about, *self.warnings)
        table = attrs.evolve(self.outline, seeds=seeds, lines=lines, about=about, look=look)
        finished = {cell.name for line in lines for cell in line.cells if cell.status == "finished"}
        done = [task for task in self._tasks(look) if task.name in finished]
        if (share := self.request.share) is not None:
            return held_back(table, done, share)
        curves, correct = {task.name: task.curve() for task in done}, correct_in(done) if images else {}
        return attrs.evolve(table, correct=correct, curves=curves)

    def _lines(self, look: Look | None) -> tuple[Line, ...]:
        """Return the rows of the table at a look."""
        seeds, lines = self._seeds(look), []
        for row, line, tasks, count in zip(self.rows, self.outline.lines, self.cells, seeds, strict=True):
            used = tuple(task.cell() for task in tasks[:count])
            left = (Cell(task.name, task.seed, "left") for task in tasks[count : max(seeds)])
            note = "; ".join(filter(None, (line.note, substituted(row.plan.training.precision, used))))
            lines.append(attrs.evolve(line, cells=(*used, *left), note=note))
        return tuple(lines)

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

        ``launcher`` replaces the one that the request names. Raises `Unfinished` if runs failed, once all others are
        done.
        """
        workers, plugins = self.request.workers, tuple(map(os.path.abspath, self.plugins))
        launcher, watcher = launcher or workers.launched_from(self.folder), watcher or Watcher()
        if self.request.evaluates_test:
            kept_results(self.folder)  # to report damage now
        prepare(self.folder, self.request.cells, self.budgets)
        devices, threads = workers.devices, workers.threads
        try:
            self._train(Execution(self.folder, launcher, workers.jobs, devices, threads, plugins, watcher))
            done = attrs.evolve(self, untested=self._evaluate(watcher.note))
        except Unfinished as error:
            error.table = self.write(watcher.note)
            raise
        except BaseException:
            with contextlib.suppress(Exception):  # report the first error, not one from writing
                self.write(images=False)  # the results so far, without reading all evaluations
            raise
        return done.write(watcher.note)

    def _train(self, execution: Execution) -> None:
        """Run the missing cells of one look after another, and those that confirm the best combination."""
        look, note = self.look, execution.watcher.note
        execution.run(self._tasks(look))
        while look is not None and (following := self._after(look)) is not None:
            unsettled, seeds = len(self._table(look).unsettled), plural(max(following.seeds), "seed")
            note(f"look {look.number}: {plural(unsettled, 'trick')} to settle, with up to {seeds}")
            look = following
            execution.run(self._tasks(look))
        if again := self._to_confirm(look):
            if any(task.cell().status == "missing" for task in again):
                note("the best combination is trained under new seeds")
            execution.run(again)

    def _evaluate(self, tell: Callable[[str], None]) -> str:
        """Evaluate what is best on the test images, if asked for. Return why that isn't possible, or an empty text."""
        if not self.request.evaluates_test:
            return ""

        def stop(number: int, frame: object) -> None:
            raise interrupted(number, self.folder)

        device = self.request.workers.devices[0] if self.request.workers.local else None
        with handled(stop):
            table = self._confirmed(self._table(self.look, images=False))
            return evaluate(table, self._all(table), self.folder, device, tell)
