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

from recipe.base import files
from recipe.base.wording import listing
from recipe.compiler.program import Program
from recipe.training.reporting import Listener

GRACE = 20.0
"""Seconds for which a finished training waits for its trackers. They go on after that."""

MOST = 20_000
"""The largest number of bytes to show of what a tracker reported."""


class Trackers(Listener):
    """Starts processes that log each run, one for each tracker: the run of a teacher, and that of the recipe."""

    def __init__(self, names: Sequence[str], plugins: Sequence[str]) -> None:
        self.names, self.plugins = [*dict.fromkeys(names)], plugins
        self._processes: list[tuple[str, subprocess.Popen[Any], Path]] = []
        self._failed = list[str]()

    def start(self, program: Program, folder: Path, step: int, steps: int, steps_per_epoch: int) -> None:
        """Start a process for each tracker. They run at the lowest priority, with one thread.

        What they report goes to a file. Whoever reads this process's standard error would otherwise wait for them.
        """
        for name in self.names:
            plugins = [word for plugin in self.plugins for word in ("--plugin", plugin)]
            command = [sys.executable, "-P", "-m", "recipe", "log", "--to", name, *plugins, "--", str(folder)]
            environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK")}
            reported = folder / f".log-{name}.txt"
            try:
                files.remove(reported)
                with files.opened_to_append(reported) as file:
                    process = subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=file,
                        env={**environment, "OMP_NUM_THREADS": "1"},
                        start_new_session=True,  # a Ctrl-C is meant for the training
                    )
            except OSError:  # no memory, too many processes, or a full disk
                self._failed.append(name)
                continue
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, 19)
            self._processes.append((name, process, reported))

    def wait(self) -> tuple[str, str]:
        """Wait a while for the processes to end.

        Returns what they reported, and a note about those that failed or still run. Both may be empty.
        """
        until, failed, running, told = time.monotonic() + GRACE, [*self._failed], list[str](), ""
        for name, process, reported in self._processes:
            try:
                if process.wait(max(0.0, until - time.monotonic())):
                    failed.append(name)
                told += _taken(reported)
            except subprocess.TimeoutExpired:
                running.append(f"{name} (its errors go to {reported})")
        notes = [f"logging to {listing(failed)} failed"] if failed else []
        notes += [f"still logging, which ends by itself: {', '.join(running)}"] if running else []
        return told, "; ".join(notes)


def _taken(path: Path) -> str:
    """Return the end of a file's text, and remove it."""
    try:
        with files.opened(path) as file:
            file.seek(-min(MOST, file.seek(0, os.SEEK_END)), os.SEEK_END)
            text = file.read().decode(errors="replace")
        files.remove(path)
    except OSError:
        return ""
    return text
