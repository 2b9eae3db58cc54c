"""Running the cells of an ablation: each a run in a folder of its own, named by its plan, so that none runs twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from recipe import files
from recipe.ablation.launchers import Handle, Launcher
from recipe.ablation.table import Cell
from recipe.diagnostics import fail
from recipe.folder import summary_of
from recipe.plan import Plan
from recipe.signals import Interrupted

POLL = 0.2
"""Seconds between looks at what runs."""

BUSY = 5.0
"""Seconds until a cell is tried again whose folder another process writes to."""


@attrs.frozen
class Task:
    """A cell to be run: the plan under a seed, and the row that it was first met in."""

    plan: Plan = attrs.field(repr=False)
    seed: int
    label: str

    @property
    def digest(self) -> str:
        return self.plan.digest


@attrs.frozen
class Home:
    """The folder of an ablation, and where the things of each cell are in it."""

    folder: Path

    def run(self, digest: str) -> Path:
        return self.folder / "cells" / digest

    def recipe(self, digest: str) -> Path:
        return self.folder / "recipes" / f"{digest}.recipe"

    def log(self, digest: str) -> Path:
        return self.folder / "logs" / f"{digest}.log"

    def failure(self, digest: str) -> Path:
        """What is kept of a cell that diverged, which would do so again."""
        return self.folder / "diverged" / f"{digest}.json"

    def check(self, identity: str) -> None:
        """Raise `RecipeError` (E113) where the folder holds another ablation, or something else."""
        if not self.folder.exists() or not any(self.folder.iterdir()):
            return
        try:
            kept = json.loads((self.folder / "ablation.json").read_text("utf-8"))["identity"]
        except (OSError, ValueError, KeyError, TypeError):
            raise fail("E113", f"`{self.folder}` holds other files already", help="name another --out") from None
        if kept != identity:
            message = f"`{self.folder}` holds the ablation of another recipe, mode or rows"
            raise fail("E113", message, help="name another --out")

    def prepare(self, identity: str) -> None:
        """Make the folder, or go on with it."""
        self.check(identity)
        for name in ("cells", "recipes", "logs", "diverged"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        files.write_json(self.folder / "ablation.json", {"schema_version": 1, "identity": identity})

    def cell(self, digest: str, seed: int) -> Cell:
        """What came of a cell, as far as it has come."""
        summary = summary_of(self.run(digest))
        if summary.get("digest") == digest:
            seconds, memory = _epoch(self.run(digest), summary), summary.get("peak_memory_bytes")
            return Cell(digest, seed, "finished", summary["top1"], summary["loss"], seconds, memory)
        return Cell(digest, seed, "diverged" if self.failure(digest).exists() else "missing")

    def epoch(self, digest: str) -> float | None:
        """How many epochs a cell has trained for, by its metrics."""
        last = next(iter(reversed(_lines(self.run(digest)))), None)
        return None if last is None else float(last["epoch"])


def _lines(folder: Path) -> list[dict[str, Any]]:
    found = []
    with contextlib.suppress(OSError):
        for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines():
            with contextlib.suppress(ValueError):  # the last one may be half written
                found.append(json.loads(line))
    return found


def _epoch(folder: Path, summary: Mapping[str, Any]) -> float | None:
    """Seconds that an epoch's training takes, by the median of the speeds, which an interruption does not change."""
    speeds = [line["images_per_second"] for line in _lines(folder) if line["kind"] == "train"]
    return summary["training_images"] / statistics.median(speeds) if speeds else None


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
    received: int = 0

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
        for pair in ready[: max(0, self.jobs - len(self.running))]:
            self.waiting.remove(pair)
            task = pair[1]
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

    def _collect(self) -> None:
        for digest, (task, handle, _) in list(self.running.items()):
            status = handle.poll()
            if status is None:
                continue
            del self.running[digest]
            text = self.home.log(digest).read_text("utf-8", "replace")
            if status == 3:
                files.write_json(self.home.failure(digest), {"said": text.strip().splitlines()[-8:]})
            elif status == 2 and "error[E116]" in text:  # another ablation has it in hand, or one that was killed
                self.waiting.append((time.monotonic() + BUSY, task))
                continue
            elif status in (130, 143, -signal.SIGTERM, -signal.SIGINT):  # stopped from outside: it goes on where it was
                self.waiting.append((0.0, task))
                continue
            elif status != 0 or self.home.cell(digest, task.seed).status != "finished":
                self._failed(task, status, text)
            self.watcher.end(task, self.home.cell(digest, task.seed))

    def _failed(self, task: Task, status: int, text: str) -> None:
        told = [line for line in text.strip().splitlines() if line.startswith("error[")]
        ended = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        reason = (
            told[-1].partition(": ")[2]
            if told
            else f"{ended}; {(text.strip().splitlines() or ['it said nothing'])[-1]}"
        )
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
        if self.received:
            os._exit(128 + number)
        self.received = number
        self.watcher.note("stopping: what runs saves first; a second signal ends this at once, and leaves it running")


class Stopped(Interrupted):
    """An ablation that was stopped by a signal; its cells are saved."""

    def __init__(self, number: int, folder: Path) -> None:
        super().__init__(number, folder, 0)
        name = signal.Signals(number).name
        self.args = (f"stopped by {name}; the same command goes on with what is in {folder}",)
