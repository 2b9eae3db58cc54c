"""Running the cells of an ablation: each a run in a folder of its own, named by its plan, so that none runs twice."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from recipe import files
from recipe.ablation.home import Home, Task
from recipe.ablation.launchers import Handle, Launcher
from recipe.ablation.table import Cell
from recipe.diagnostics import fail
from recipe.folder import user_of
from recipe.signals import TWICE, Interrupted

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


@attrs.define
class Execution:
    """The cells that are still to be run, and those that run."""

    home: Home
    launcher: Launcher
    jobs: int
    devices: tuple[str | None, ...]
    threads: int | None
    plugins: tuple[str, ...]
    watcher: Watcher
    running: dict[str, tuple[Task, Handle, str | None]] = attrs.field(factory=dict)
    waiting: list[tuple[float, Task]] = attrs.field(factory=list)
    told: set[str] = attrs.field(factory=set)
    """The digests of cells of which it was said that another process has them."""
    stops: dict[str, tuple[float, int]] = attrs.field(factory=dict)
    """Of cells that were stopped from outside: the epoch, and how often it was the same one."""
    received: int = 0
    since: float = 0.0

    def run(self, tasks: Sequence[Task]) -> None:
        """Run the tasks that have not been; each digest once. Raises `RecipeError` (E126) and `Interrupted`."""
        unique = list({task.digest: task for task in reversed(tasks)}.values())[::-1]
        todo = [task for task in unique if self.home.cell(task.digest, task.seed).status == "missing"]
        self.waiting = [(0.0, task) for task in todo]
        self.watcher.begin(unique, len(unique) - len(todo))
        with self._signals():
            try:
                while (self.waiting or self.running) and not self.received:
                    self._start()
                    time.sleep(POLL)
                    self._collect()
                    self.watcher.look({digest: task for digest, (task, _, _) in self.running.items()})
            finally:
                self._stop()
                self.watcher.stop()
        if self.received:
            raise Stopped(self.received, self.home.folder)

    def _start(self) -> None:
        now = time.monotonic()
        ready = [pair for pair in self.waiting if pair[0] <= now]
        for pair in ready:
            if len(self.running) >= self.jobs:
                break
            self.waiting.remove(pair)
            task = pair[1]
            if self._elsewhere(task):
                continue
            busy = [device for _, _, device in self.running.values()]
            device = min(self.devices, key=busy.count)
            files.write_text(self.home.recipe(task.digest), task.plan.canonical())
            command = [sys.executable, "-P", "-m", "recipe", "run", str(self.home.recipe(task.digest).absolute())]
            command += ["--resume", str(self.home.run(task.digest).absolute())]
            command += ["--device", device] if device else []
            for plugin in self.plugins:
                command += ["--plugin", plugin]
            environment = {"OMP_NUM_THREADS": str(self.threads)} if self.threads else {}
            log = self.home.log(task.digest)
            log.write_bytes(b"")
            self.running[task.digest] = (task, self.launcher.submit(command, log, environment), device)

    def _elsewhere(self, task: Task) -> bool:
        """Whether another process has a cell in hand, and is waited for, or has finished it in the meantime."""
        if user := user_of(self.home.run(task.digest)):
            if task.digest not in self.told:
                self.told.add(task.digest)
                self.watcher.note(f"waiting for `{task.label}`, seed {task.seed}, which {user} trains already")
            self.waiting.append((time.monotonic() + BUSY, task))
            return True
        cell = self.home.cell(task.digest, task.seed)
        if task.digest in self.told and cell.status == "finished":
            self.watcher.end(task, cell)
            return True
        return False

    def _collect(self) -> None:
        for digest, (task, handle, _) in list(self.running.items()):
            status = handle.poll()
            if status is None:
                continue
            del self.running[digest]
            text = self.home.log(digest).read_text("utf-8", "replace")
            if status == 3:
                files.write_json(self.home.failure(digest), {"said": text.strip().splitlines()[-8:]})
            elif status == 2 and "error[E116]" in text:  # another process took it just now
                self.waiting.append((time.monotonic() + BUSY, task))
                continue
            elif status in STOPPED and self._got_further(digest):  # it goes on where it was
                self.waiting.append((time.monotonic(), task))
                continue
            elif status != 0 or self.home.cell(digest, task.seed).status != "finished":
                self._failed(task, status, text)
            self.watcher.end(task, self.home.cell(digest, task.seed))

    def _got_further(self, digest: str) -> bool:
        """Whether a cell that was stopped from outside has trained since the last time; it may fail to twice."""
        epoch, (before, tries) = self.home.epoch(digest) or 0.0, self.stops.get(digest, (0.0, 0))
        tries = 0 if epoch > before else tries + 1
        self.stops[digest] = (epoch, tries)
        return tries < 3

    def _failed(self, task: Task, status: int, text: str) -> None:
        lines = text.strip().splitlines()
        told = [line.partition(": ")[2] for line in lines if line.startswith(("error[", "internal error"))]
        if told:
            reason = told[-1]
        elif status < 0:
            reason = f"killed by signal {-status}" + ", by somebody or for want of memory" * (status == -signal.SIGKILL)
        else:
            reason = f"exit status {status}; {lines[-1] if lines else 'it said nothing'}"
        message = f"`{task.label}`, seed {task.seed}, failed: {reason}"
        help = f"all of it is in {self.home.log(task.digest)}; when that is mended, the same command goes on"
        raise fail("E126", message, help=help)

    def _stop(self) -> None:
        """Ask what still runs to save and end, and wait for that; a second signal does not wait."""
        if self.running:
            for _, handle, _ in self.running.values():
                handle.stop()
            while any(handle.poll() is None for _, handle, _ in self.running.values()):
                time.sleep(POLL)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        now = time.monotonic()
        if self.received:
            if now - self.since > TWICE:
                self.watcher.stop()  # a terminal gets its cursor back
                os._exit(128 + number)
            return
        self.received, self.since = number, now
        self.watcher.note("stopping: what runs saves first; a second signal ends this at once, and leaves it running")


class Stopped(Interrupted):
    """An ablation that was stopped by a signal; its cells are saved."""

    def __init__(self, number: int, folder: Path) -> None:
        super().__init__(number, folder, 0)
        name = signal.Signals(number).name
        self.args = (f"stopped by {name}; the same command goes on with what is in {folder}",)
