"""What an ablation tells while it runs: a live table on a terminal, a line for each cell elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from recipe.ablation.execute import Watcher
from recipe.ablation.store import Home, Task
from recipe.ablation.table import Cell
from recipe.base.wording import format_duration

if TYPE_CHECKING:
    from rich.live import Live as Display


@attrs.define
class Plain(Watcher):
    """A line for each cell that ends, on standard error."""

    total: int = 0
    done: int = 0
    first: int = 0
    began: float = 0.0

    def begin(self, tasks: Sequence[Task], done: int) -> None:
        self.total, self.done, self.first, self.began = len(tasks), done, done, time.monotonic()
        if done:
            self.note(f"{done} of {len(tasks)} runs are there already")

    def end(self, task: Task, cell: Cell) -> None:
        self.done += 1
        each = (time.monotonic() - self.began) / (self.done - self.first)
        result = "diverged" if cell.top1 is None else f"top-1 {cell.top1:.2%}"
        left = format_duration(each * (self.total - self.done))
        self.note(f"{self.done}/{self.total}: {task.label}, seed {task.seed}: {result}; {left} left")

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


@attrs.define
class Live(Plain):
    """A table that fills while the ablation runs: a row for each of its rows, a column for each seed."""

    home: Home = attrs.field(kw_only=True)
    grid: Sequence[tuple[str, Sequence[Task]]] = attrs.field(kw_only=True)
    """The label of each row, and its cells."""
    display: Display | None = None
    cells: dict[str, Cell] = attrs.field(factory=dict)

    def begin(self, tasks: Sequence[Task], done: int) -> None:
        from rich.console import Console
        from rich.live import Live as Display

        super().begin(tasks, done)
        self.cells = {task.name: self.home.cell(task) for task in tasks}
        self.display = Display(self._table({}), console=Console(stderr=True), refresh_per_second=4, transient=True)
        self.display.start()

    def look(self, running: Mapping[str, Task]) -> None:
        assert self.display is not None
        self.display.update(self._table(running))

    def end(self, task: Task, cell: Cell) -> None:
        self.done += 1
        self.cells[task.name] = cell

    def note(self, text: str) -> None:
        if self.display is None:
            super().note(text)
        else:
            self.display.console.print(text, markup=False, highlight=False, style="yellow")

    def stop(self) -> None:
        if self.display is not None:
            self.display.stop()
            self.display = None

    def _table(self, running: Mapping[str, Task]) -> Any:
        from rich.table import Table
        from rich.text import Text

        spent = time.monotonic() - self.began
        ended = self.done - self.first
        left = f", {format_duration(spent / ended * (self.total - self.done))} left" if ended else ""
        table = Table(title=f"{self.done} of {self.total} runs{left}", title_justify="left", box=None)
        table.add_column("")
        for task in self.grid[0][1]:
            table.add_column(f"seed {task.seed}", justify="right")
        for label, tasks in self.grid:
            table.add_row(Text(label), *(self._shown(task, running) for task in tasks))
        for task in running.values():
            if task.label.startswith("teacher "):
                table.add_row(Text(task.label), self._shown(task, running))
        return table

    def _shown(self, task: Task, running: Mapping[str, Task]) -> str:
        cell = self.cells.get(task.name)
        if task.name in running:
            return f"epoch {self.home.epoch(task) or 0:.1f}/{task.plan.training.epochs}"
        if cell is None or cell.status == "missing":
            return "·"
        return cell.status if cell.top1 is None else f"{cell.top1:.2%}"
