"""Running the cells of an ablation: each a run in a folder of its own, named by its plan, so that none runs twice."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from recipe.ablation.launchers import Handle, Launcher
from recipe.ablation.store import Home, Task
from recipe.ablation.table import Cell, Table
from recipe.base import failure, files
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.signals import FirstSignal, Interrupted, handled
from recipe.plugins.fingerprint import edited
from recipe.runs.exclusive import user_of

POLL = 0.2
"""Seconds between looks at what runs."""

BUSY = 5.0
"""Seconds until a cell is tried again whose folder another process writes to."""


STOPPED = (130, 143, -signal.SIGTERM, -signal.SIGINT)
"""The exit statuses of a run that was asked to save and end."""


@attrs.define
class Watcher:
    """What is told of an ablation under way; this one says nothing."""

    def begin(self, tasks: Sequence[Task], done: int) -> None: ...
    def look(self, running: Mapping[str, Task]) -> None: ...
    def end(self, task: Task, cell: Cell) -> None: ...
    def note(self, text: str) -> None: ...
    def stop(self) -> None: ...


@attrs.define(eq=False)
class Pending:
    """A task that is still to be run, and what came of trying it."""

    task: Task
    since: float = 0.0
    """When it may be tried, by the monotonic clock."""
    epoch: float = 0.0
    """How far it had come when it was last stopped from outside."""
    tries: int = 0
    """How often in a row it came no further."""
    told: bool = False
    """Whether it was said that another process has it."""


@attrs.define
class Execution:
    """The cells that are still to be run, those that run, and what failed of them."""

    home: Home
    launcher: Launcher
    jobs: int
    devices: tuple[str | None, ...]
    threads: int | None
    plugins: tuple[str, ...]
    watcher: Watcher
    waiting: list[Pending] = attrs.field(factory=list)
    running: dict[str, tuple[Pending, Handle, str | None]] = attrs.field(factory=dict)
    failures: list[Diagnostic] = attrs.field(factory=list)
    interrupt: FirstSignal = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.interrupt = FirstSignal(self._note, self.watcher.stop)  # which gives a terminal its cursor back

    def run(self, tasks: Sequence[Task]) -> None:
        """Run the tasks that have not been. Raises `Interrupted`, and `Unfinished` (E126) of all that failed.

        What fails keeps its own row and its students from being tried further; the others go on.
        """
        status = {task.name: self.home.cell(task).status for task in tasks}
        for task in (one for one in tasks if status[one.name] == "finished"):
            self.home.trim(task)
        self.waiting = [Pending(task) for task in tasks if status[task.name] == "missing"]
        self.watcher.begin(tasks, len(tasks) - len(self.waiting))
        with handled(self.interrupt):
            try:
                while (self.waiting or self.running) and not self.interrupt.received:
                    self._start()
                    time.sleep(POLL)
                    self._collect()
                    self.watcher.look({name: one.task for name, (one, _, _) in self.running.items()})
            finally:
                self._stop()
                self.watcher.stop()
        if self.interrupt.received:
            raise Stopped(self.interrupt.received, self.home.folder)
        if self.failures:
            raise Unfinished(*self.failures)

    def _start(self) -> None:
        """Begin as many as may run at a time, in their order."""
        for one in [*self.waiting]:
            if len(self.running) >= self.jobs:
                return
            if one in self.waiting and one.since <= time.monotonic() and self._taught(one.task):
                self.waiting.remove(one)
                if not self._elsewhere(one):
                    self._submit(one)

    def _submit(self, one: Pending) -> None:
        task, busy = one.task, [device for _, _, device in self.running.values()]
        if changed := edited(task.plan.uses):
            message = f"the code of the plugin `{changed[0]}` has changed since this ablation began"
            raise fail("E126", message, help="repeat the command: rows that use it are other runs now")
        device = min(self.devices, key=busy.count)
        self.home.ready(task)
        command = [sys.executable, "-P", "-m", "recipe", "run", str(self.home.recipe(task).absolute())]
        command += ["--resume", str(self.home.run(task).absolute()), "--keep", "1"]
        command += ["--device", device] if device else []
        for plugin in self.plugins:
            command += ["--plugin", plugin]
        environment = {failure.VARIABLE: str(self.home.failure(task).absolute())}
        environment |= {"OMP_NUM_THREADS": str(self.threads)} if self.threads else {}
        self.running[task.name] = (one, self.launcher.submit(command, self.home.log(task), environment), device)

    def _taught(self, task: Task) -> bool:
        """Whether all teachers of a task have been trained; where one can't be, it is given up."""
        to_come = {one.task.name for one in self.waiting} | self.running.keys()
        for teacher in task.teachers:
            if (status := self.home.cell(teacher).status) != "finished":
                if teacher.name not in to_come:
                    self._failed(task, f"its {teacher.label} {'diverged' if status == 'diverged' else 'failed'}", "")
                return False
        return True

    def _elsewhere(self, one: Pending) -> bool:
        """Whether another process has a cell in hand, and is waited for, or has ended it in the meantime."""
        task = one.task
        if user := user_of(self.home.run(task)):
            if not one.told:
                self.watcher.note(f"waiting for `{task.label}`, seed {task.seed}, which {user} trains already")
            one.told, one.since = True, time.monotonic() + BUSY
            self.waiting.append(one)
            return True
        cell = self.home.cell(task)
        if cell.status != "missing":
            self.watcher.end(task, cell)
            return True
        return False

    def _collect(self) -> None:
        """See which runs have ended, and how."""
        for name, (one, handle, _) in list(self.running.items()):
            if (status := handle.poll()) is None:
                continue
            del self.running[name]
            task, left = one.task, failure.left_in(self.home.failure(one.task))
            if status == 3:
                text = self.home.log(task).read_text("utf-8", "replace")
                files.write_json(self.home.divergence(task), {"said": text.strip().splitlines()[-8:]})
            cell = self.home.cell(task)
            if status == 2 and left is not None and "E116" in left.codes:  # another process took it just now
                one.since = time.monotonic() + BUSY
                self.waiting.append(one)
            elif cell.status == "missing" and status in (0, *STOPPED) and self._got_further(one):
                self.waiting.append(one)  # it goes on where it was, or its end was not seen yet on a shared disk
            elif cell.status == "missing":
                self._failed(task, _reason(status, left), f"all of it is in {self.home.log(task)}")
            else:
                if cell.status == "finished":
                    self.home.trim(task)
                self.watcher.end(task, cell)

    def _got_further(self, one: Pending) -> bool:
        """Whether a cell that was stopped from outside has trained since the last time; it may fail to twice."""
        epoch = self.home.epoch(one.task) or 0.0
        one.tries = 0 if epoch > one.epoch else one.tries + 1
        one.epoch = epoch
        return one.tries < 3

    def _failed(self, task: Task, reason: str, where: str) -> None:
        """Keep what is to be told of a run that failed, and take out what else is of its row."""
        message = f"`{task.label}`, seed {task.seed}, failed: {reason}"
        help = "; ".join(filter(None, (where, "when that is mended, the same command goes on")))
        self.failures.append(Diagnostic("E126", message, help=help))
        self.watcher.note(f"{message}; the other rows go on")
        self.waiting = [one for one in self.waiting if one.task.label != task.label]

    def _stop(self) -> None:
        """Ask what still runs to save and end, and wait for that; a second signal does not wait."""
        if self.running:
            for _, handle, _ in self.running.values():
                handle.stop()
            while any(handle.poll() is None for _, handle, _ in self.running.values()):
                time.sleep(POLL)

    def _note(self, number: int) -> None:
        self.watcher.note("stopping: what runs saves first; a second signal ends this at once, and leaves it running")


def _reason(status: int, left: failure.Failure | None) -> str:
    """Why a run failed, by what it left, else by its exit status."""
    if left is not None:
        return left.message
    if status < 0:
        return f"killed by signal {-status}" + ", by somebody or for want of memory" * (status == -signal.SIGKILL)
    return f"it ended with status {status}, without a reason"


class Unfinished(RecipeError):
    """Some runs of an ablation failed, and the others were made; ``table`` is what they give."""

    table: Table | None = None


class Stopped(Interrupted):
    """An ablation that was stopped by a signal; its cells are saved."""

    def __init__(self, number: int, folder: Path) -> None:
        super().__init__(number, folder, 0)
        name = signal.Signals(number).name
        self.args = (f"stopped by {name}; the same command goes on with what is in {folder}",)
