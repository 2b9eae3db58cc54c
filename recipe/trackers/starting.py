"""``recipe run --log``: log a run to trackers while it trains, from processes that can't affect the training."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipe.base.wording import listing
from recipe.compiler.program import Program
from recipe.training.reporting import Listener

GRACE = 20.0
"""Seconds for which a finished training waits for its trackers. They go on after that."""


class Trackers(Listener):
    """Starts processes that log each run, one for each tracker: the run of a teacher, and that of the recipe."""

    def __init__(self, names: Sequence[str], plugins: Sequence[str]) -> None:
        self.names, self.plugins = [*dict.fromkeys(names)], plugins
        self._processes: list[tuple[str, subprocess.Popen[Any]]] = []
        self._failed = list[str]()

    def start(self, program: Program, folder: Path, step: int, steps: int, steps_per_epoch: int) -> None:
        """Start a process for each tracker. They run at the lowest priority, with one thread."""
        for name in self.names:
            plugins = [word for plugin in self.plugins for word in ("--plugin", plugin)]
            command = [sys.executable, "-P", "-m", "recipe", "log", "--to", name, *plugins, "--", str(folder)]
            environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK")}
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={**environment, "OMP_NUM_THREADS": "1"},
                    start_new_session=True,  # a Ctrl-C is meant for the training
                )
            except OSError:  # no memory, or too many processes
                self._failed.append(name)
                continue
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, 19)
            self._processes.append((name, process))

    def wait(self) -> str:
        """Wait a while for the processes, and return a note about those that failed or still run, or an empty text."""
        until, failed, running = time.monotonic() + GRACE, [*self._failed], list[str]()
        for name, process in self._processes:
            try:
                if process.wait(max(0.0, until - time.monotonic())):
                    failed.append(name)
            except subprocess.TimeoutExpired:
                running.append(name)
        told = [f"logging to {listing(failed)} failed"] if failed else []
        told += [f"{listing(running)} still logging; it ends by itself"] if running else []
        return "; ".join(told)
