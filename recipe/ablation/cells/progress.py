"""Show the progress of an ablation: a live table on a terminal, a line for each cell elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence

import attrs
from rich.console import Console
from rich.live import Live as Display
from rich.table import Table
from rich.text import Text

from recipe.ablation.cells.execute import Watcher
from recipe.ablation.cells.store import Task
from recipe.ablation.statistics.results import Cell
from recipe.base.printable import printable
from recipe.base.wording import format_duration, plural


@attrs.define
class Plain(Watcher):
    """Print a line to standard error for each cell that ends."""

    total: int = 0
    done: int = 0
    first: int = 0
    began: float = 0.0

    @property
    def left(self) -> str:
        each = (time.monotonic() - self.began) / (self.done - self.first)
        return f"{format_duration(each * (self.total - self.done))} left"

    def begin(self, tasks: Sequence[Task], done: int) -> None:
        self.total, self.done, self.first, self.began = len(tasks), done, done, time.monotonic()
        if done:
            be = "is" if done == 1 else "are"
            Plain.note(self, f"{done} of {plural(len(tasks), 'run')} {be} already done")

    def end(self, task: Task, cell: Cell) -> None:
        self.done += 1
        result = "diverged" if cell.top1 is None else f"top-1 {cell.top1:.2%}"
        self.note(f"{self.done}/{self.total}: {task.label}, seed {task.seed}: {result}; {self.left}")

    def note(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)


@attrs.define
class Live(Plain):
    """Show a live table of the ablation, with a line for each row and a column for each seed."""

    grid: Sequence[tuple[str, Sequence[Task]]] = attrs.field(kw_only=True)
    """The label and the cells of each row."""
    display: Display = attrs.field(init=False)
    cells: dict[str, Cell] = attrs.field(factory=dict)

    def begin(self, tasks: Sequence[Task], done: int) -> None:
        super().begin(tasks, done)
        self.cells |= {task.name: task.cell() for task in tasks}
        self.display = Display(self._table({}), console=Console(stderr=True), refresh_per_second=4, transient=True)
        self.display.start()

    def look(self, running: Mapping[str, Task]) -> None:
        self.display.update(self._table(running))

    def end(self, task: Task, cell: Cell) -> None:
        self.done += 1
        self.cells[task.name] = cell

    def note(self, text: str) -> None:
        self.display.console.print(printable(text), markup=False, highlight=False, emoji=False, style="yellow")

    def stop(self) -> None:
        self.display.stop()

    def _table(self, running: Mapping[str, Task]) -> Table:
        left = f", {self.left}" if self.done > self.first else ""
        table = Table(title=f"{self.done} of {plural(self.total, 'run')}{left}", title_justify="left", box=None)
        table.add_column("")
        seeds = max(at for _, tasks in self.grid for at, task in enumerate(tasks, 1) if task.name in self.cells)
        for task in self.grid[0][1][:seeds]:
            table.add_column(f"seed {task.seed}", justify="right")
        listed = {task.name for _, tasks in self.grid for task in tasks}
        for label, tasks in self.grid:
            table.add_row(Text(printable(label)), *(self._shown(task, running) for task in tasks[:seeds]))
        for task in running.values():
            if task.name not in listed:
                table.add_row(Text(printable(task.label)), self._shown(task, running))
        return table

    def _shown(self, task: Task, running: Mapping[str, Task]) -> str:
        cell = self.cells.get(task.name)
        if task.name in running:
            return f"epoch {task.epoch() or 0:.1f}/{task.plan.training.epochs}"
        if cell is None or cell.status == "missing":
            return "·"
        return cell.status if cell.top1 is None else f"{cell.top1:.2%}"
