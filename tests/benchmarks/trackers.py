"""Measure what trackers cost a training that they follow.

Run it on an idle machine, from the root of the repository: python -m tests.benchmarks.trackers [EPOCHS [ROUNDS]]
The sides take turns: whole commands, with and without `--log`. Each ratio is within a round, and of the time in which
the run trained, without the end, when the command waits for its trackers. All sides must end with the same weights. The
processor time of the trackers themselves is exact; it is read while they run, so it needs Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from recipe.base.identity import digest
from recipe.devices.choice import cores
from recipe.runs.reader import read_summary
from tests.benchmarks.clocks import ratio
from tests.plugins.helpers import install

PACKAGE = '''
"""Trackers that are slow, and that fail."""

import time

from recipe import Tracker


class Slow:
    def __init__(self, run):
        pass

    def log(self, step, values):
        time.sleep(1)

    def flush(self):
        pass

    def finish(self, results):
        pass


class Failing(Slow):
    def log(self, step, values):
        raise RuntimeError("no route to host")


slow, failing = Tracker("Slow", "Takes a second for each line.", Slow), Tracker("Failing", "Fails.", Failing)
'''
ENTRIES = {name: f"odd_trackers:{name}" for name in ("slow", "failing")}
SIDES = {
    "none": (),
    "`csv` and `tensorboard`": ("csv", "tensorboard"),
    "one that takes a second a line": ("slow",),
    "one that fails": ("failing",),
}


def section(epochs: int = 16, rounds: int = 3) -> list[str]:
    """Return the measurement as lines of Markdown."""
    taken, used = ({name: list[float]() for name in SIDES} for _ in range(2))
    weights = set[str]()
    with tempfile.TemporaryDirectory() as folder:
        installed = Path(folder) / "installed"
        install(installed, "odd-trackers", ENTRIES, group="recipe.trackers", odd_trackers=PACKAGE)
        path = os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])])
        for number in range(rounds):
            for name, trackers in SIDES.items():
                run = Path(folder) / f"{number}-{'-'.join(trackers)}"
                words = [word for tracker in trackers for word in ("--log", tracker)]
                command = [
                    sys.executable,
                    "-m",
                    "recipe",
                    "run",
                    "first",
                    f"epochs {epochs}",
                    "--out",
                    str(run),
                    *words,
                ]
                used[name].append(_watched(command, {**os.environ, "PYTHONPATH": path}, run))
                taken[name].append(read_summary(run)["seconds"])
                weights.add(digest((run / "model.safetensors").read_bytes()))
    if len(weights) != 1:
        raise SystemExit(f"the trainings ended with {len(weights)} different weights")
    lines = [
        "## Trackers",
        "",
        f"`recipe run first 'epochs {epochs}'` with trackers that follow it, alternating with one without; {rounds} "
        f"round{'s' * (rounds > 1)}, on {cores()} cores, torch {torch.__version__}. All of them ended with the same "
        "weights.",
        "",
        "The processor time is the trackers' part of what all cores could do in the time of the training.",
        "",
        "| trackers | seconds of training, median | relative to none, median | lowest to highest | processor time |",
        "|---|---|---|---|---|",
    ]
    for name, seconds in taken.items():
        parts = [their / (cores() * its) for their, its in zip(used[name], seconds, strict=True)]
        cells = f"{statistics.median(seconds):.1f} | {ratio(seconds, taken['none'])} | {statistics.median(parts):.1%}"
        lines.append(f"| {name} | {cells} |")
    return lines


def _watched(command: list[str], environment: dict[str, str], run: Path) -> float:
    """Run a training to its end. Return the processor time of its trackers until it stopped training, in seconds."""
    used: dict[str, float] = {}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if not (run / "summary.json").exists():
            used |= _of_trackers(run)
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"status {process.returncode}: {' '.join(command)}")
    for identifier in _of_trackers(run):  # a slow one would go on during the next training
        os.kill(int(identifier), signal.SIGKILL)
    return sum(used.values())


def _of_trackers(run: Path) -> dict[str, float]:
    """Return the processor time of each process that logs a run, in seconds, by its identifier."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"log" in words and str(run).encode() in words:
                values = (process / "stat").read_text().rpartition(")")[2].split()
                found[process.name] = (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.trackers", description="Measure what trackers cost a training."
    )
    parser.add_argument("epochs", nargs="?", type=int, default=16, metavar="EPOCHS")
    parser.add_argument("rounds", nargs="?", type=int, default=3, metavar="ROUNDS")
    given = parser.parse_args()
    if min(given.epochs, given.rounds) < 1:
        parser.error("EPOCHS and ROUNDS must be at least 1")
    print("\n".join(section(given.epochs, given.rounds)))
