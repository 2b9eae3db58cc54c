"""Run the cells of an ablation. Each has its own folder, named after its plan, so none runs twice."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from recipe.ablation.cells.launchers import Handle, Launcher
from recipe.ablation.cells.store import Ending, Task
from recipe.ablation.report.table import Table
from recipe.ablation.statistics.results import Cell
from recipe.base import failure, files
from recipe.base.caller import is_command
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.signals import STOPPING, FirstSignal, Interrupted, handled
from recipe.plugins.fingerprint import edited
from recipe.runs.exclusive import user_of

POLL = 0.2
"""Seconds between polls of the running cells."""

BUSY = 5.0
"""Seconds before retrying a cell that another process is training."""

STOPPED = tuple(code for number in STOPPING for code in (128 + number, -number))
"""Exit codes of a run that was asked to save and stop."""


@attrs.define
class Watcher:
    """Follows the progress of an ablation. This base class does nothing."""

    def begin(self, tasks: Sequence[Task], done: int) -> None: ...
    def look(self, running: Mapping[str, Task]) -> None: ...
    def end(self, task: Task, cell: Cell) -> None: ...
    def note(self, text: str) -> None: ...
    def stop(self) -> None: ...


@attrs.define(eq=False)
class Turn:
    """A task that has yet to run, with the history of its attempts."""

    task: Task
    since: float = 0.0
    """Earliest time of the next attempt, on the monotonic clock."""
    epoch: float = 0.0
    """Epochs trained when the task was last stopped from outside."""
    tries: int = 0
    """Consecutive attempts that made no progress."""
    told: bool = False
    """Whether a note has reported that another process is training it."""


@attrs.define
class Execution:
    """The execution of the ablation in a folder: its waiting cells, its running cells, and its failures."""

    folder: Path
    launcher: Launcher
    jobs: int
    devices: tuple[str | None, ...]
    threads: int | None
    plugins: tuple[str, ...]
    watcher: Watcher
    waiting: list[Turn] = attrs.field(factory=list)
    running: dict[str, tuple[Turn, Handle, str | None]] = attrs.field(factory=dict)
    failures: list[Diagnostic] = attrs.field(factory=list)
    interrupt: FirstSignal = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        told = "stopping after the running cells have saved; send a second signal to exit now and leave them running"
        self.interrupt = FirstSignal(lambda _: self.watcher.note(told), self._leave)

    def run(self, tasks: Sequence[Task]) -> None:
        """Run the tasks that have no result yet. Raises `Interrupted`, and `Unfinished` (E126) with all failures.

        After a failure, the rest of its row and its students are skipped. The other rows continue.
        """
        for task in tasks:
            status = task.cell().status
            if status == "finished":
                task.trim()
            elif status == "missing":
                self.waiting.append(Turn(task))
        self.watcher.begin(tasks, len(tasks) - len(self.waiting))
        with handled(self.interrupt):
            try:
                while (self.waiting or self.running) and not self.interrupt.received:
                    self._start()
                    time.sleep(POLL)
                    self._collect()
                    self.watcher.look({name: turn.task for name, (turn, _, _) in self.running.items()})
            finally:
                self._stop()
                self.watcher.stop()
        if number := self.interrupt.received:
            raise interrupted(number, self.folder)
        if self.failures:
            raise Unfinished(*self.failures)

    def _leave(self, number: int) -> Interrupted:
        self.watcher.stop()  # to restore the cursor
        return interrupted(number, self.folder)

    def _start(self) -> None:
        for turn in [*self.waiting]:
            if len(self.running) >= self.jobs:
                return
            if turn in self.waiting and turn.since <= time.monotonic() and self._taught(turn.task):
                self.waiting.remove(turn)
                if not self._elsewhere(turn):
                    self._submit(turn)

    def _submit(self, turn: Turn) -> None:
        task, busy = turn.task, [device for _, _, device in self.running.values()]
        if changed := edited(task.plan.uses):
            message = f"the code of the plugin `{changed[0]}` has changed since this ablation started"
            raise fail("E126", message, help="rerun the command; rows that use the plugin get new runs")
        device = min(self.devices, key=busy.count)
        try:
            task.prepare()
        except RecipeError as error:  # the other rows can still run
            self._failed(task, error.diagnostics[-1].message, error.diagnostics[-1].help)
            return
        command = [sys.executable, "-P", "-m", "recipe", "run", str(task.file("recipe").absolute())]
        command += ["--resume", str(task.run.absolute()), "--checkpoints", "1", "--skip-test"]
        command += ["--device", device] if device else []
        for plugin in self.plugins:
            command += ["--plugin", plugin]
        environment = {failure.VARIABLE: str(task.file("failure.json").absolute())}
        environment |= {"OMP_NUM_THREADS": str(self.threads)} if self.threads else {}
        handle = self.launcher(command, task.file("log"), environment)
        self.running[task.name] = (turn, handle, device)

    def _taught(self, task: Task) -> bool:
        """Whether all teachers of a task have been trained. If one can't be trained, the task fails."""
        to_come = {turn.task.name for turn in self.waiting} | self.running.keys()
        for teacher in task.teachers:
            if (status := teacher.cell().status) != "finished":
                if teacher.name not in to_come:
                    self._failed(task, f"its {teacher.label} {'diverged' if status == 'diverged' else 'failed'}", "")
                return False
        return True

    def _elsewhere(self, turn: Turn) -> bool:
        """Whether another process is training a cell, so that it has to wait, or has already finished it."""
        task = turn.task
        if user := user_of(task.run):
            if not turn.told:
                self.watcher.note(f"waiting for `{task.label}`, seed {task.seed}, which {user} is already training")
            turn.told, turn.since = True, time.monotonic() + BUSY
            self.waiting.append(turn)
            return True
        cell = task.cell()
        if cell.status != "missing":
            self.watcher.end(task, cell)
        return cell.status != "missing"

    def _collect(self) -> None:
        for name, (turn, handle, _) in list(self.running.items()):
            if (status := handle.poll()) is None:
                continue
            del self.running[name]
            task, log = turn.task, turn.task.file("log")
            left = failure.left_in(task.file("failure.json"))
            if status == 3:
                files.write_json(task.file("diverged.json"), attrs.asdict(Ending(_last_lines(log))))
            cell = task.cell()
            if status == 2 and left is not None and "E116" in left.codes:  # another process has just started it
                turn.since = time.monotonic() + BUSY
                self.waiting.append(turn)
            elif status == 0 and task.is_of_other_data():
                help = "rerun the command when they no longer change"
                self._failed(
                    task, "images or files that the recipe names have changed since the ablation started", help
                )
            elif cell.status == "missing" and status in (0, *STOPPED) and self._got_further(turn):
                self.waiting.append(turn)  # resume it, or read its result once a shared disk shows it
            elif cell.status == "missing":
                self._failed(task, _reason(status, left), f"see the full output in {log}")
            else:
                if cell.status == "finished":
                    task.trim()
                self.watcher.end(task, cell)

    def _got_further(self, turn: Turn) -> bool:
        """Whether to retry a cell that was stopped from outside: at most twice in a row without progress."""
        epoch = turn.task.epoch() or 0.0
        turn.tries = 0 if epoch > turn.epoch else turn.tries + 1
        turn.epoch = epoch
        return turn.tries < 3

    def _failed(self, task: Task, reason: str, where: str) -> None:
        """Record the failure of a run and drop the remaining runs of its row."""
        message = f"`{task.label}`, seed {task.seed}, failed: {reason}"
        help = "; ".join(filter(None, (where, "fix the cause, then rerun the command to resume")))
        self.failures.append(Diagnostic("E126", message, help=help))
        self.watcher.note(f"{message}; continuing with the other rows")
        self.waiting = [turn for turn in self.waiting if turn.task.label != task.label]

    def _stop(self) -> None:
        """Ask the running cells to save and stop, and wait for them. A second signal ends the wait."""
        handles = [handle for _, handle, _ in self.running.values()]
        for handle in handles:
            handle.terminate()
        while any(handle.poll() is None for handle in handles):
            time.sleep(POLL)


def interrupted(number: int, folder: Path) -> Interrupted:
    """Return what is raised when a signal stops the ablation in a folder."""
    again = "rerun the command" if is_command() else "call `recipe.ablate` again"
    message = f"stopped by {signal.Signals(number).name}; {again} to resume the ablation in {folder}"
    return Interrupted(number, folder, 0, message=message)


def _last_lines(log: Path) -> list[str]:
    try:
        return files.read(log).decode("utf-8", "replace").strip().splitlines()[-8:]
    except OSError:
        return []


def _reason(status: int, left: failure.Failure | None) -> str:
    if left is not None:
        return left.message
    if status < 0:
        return f"killed by signal {-status}" + ", by a user or because memory ran out" * (status == -signal.SIGKILL)
    return f"exited with code {status} without reporting a reason"


class Unfinished(RecipeError):
    """Raised if some runs of an ablation failed, once the others are done."""

    table: Table | None = None
    """The table with the results of the runs that finished."""
