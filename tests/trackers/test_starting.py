"""Trackers that ``recipe run --log`` starts: none of them affects the training."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import recipe
from recipe.trackers.starting import Trackers
from tests.helpers import ROOT, command
from tests.plugins.helpers import install
from tests.training.helpers import TINY


def test_a_tracker_that_cannot_be_started_is_reported_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refused)
    trackers = Trackers(["csv", "mlflow"], [])
    program: Any = recipe.compile(TINY)
    trackers.start(program, tmp_path, 0, 6, 3)
    assert trackers.wait() == ("", "logging to `csv`, `mlflow` failed")


def test_the_command_that_resumes_the_run_repeats_them(tmp_path: Path) -> None:
    done = command("run", TINY, "--out", tmp_path / "run", "--device", "cpu", "--log", "csv", "--max-time", "0.01s")
    assert done.status == 0, done.stderr
    assert "--log csv" in next(line for line in done.stderr.splitlines() if "--resume" in line)


STUCK = """
import os
import time
from pathlib import Path

from recipe import Tracker


class Stuck:
    def __init__(self, run):
        (run.folder / "stuck").write_text(str(os.getpid()))

    def log(self, step, values):
        time.sleep(100)


TRACKER = Tracker("stuck", "Never ends.", Stuck)
"""


def test_who_reads_the_output_of_a_training_does_not_wait_for_its_trackers(tmp_path: Path) -> None:
    install(tmp_path / "site", "stuck", {"stuck": "stuck:TRACKER"}, group="recipe.trackers", stuck=STUCK)
    words = ["run", TINY, "--out", tmp_path / "run", "--device", "cpu", "--log", "stuck"]
    code = "import recipe.trackers.starting as it, recipe.__main__; it.GRACE = 3; recipe.__main__.main()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)])}
    call = [sys.executable, "-c", code, *map(str, words)]
    try:
        done = subprocess.run(call, capture_output=True, text=True, env=environment, timeout=60)
        assert done.returncode == 0, done.stderr
        where = tmp_path / "run" / ".log-stuck.txt"
        assert f"still logging, which ends by itself: stuck (its errors go to {where})" in done.stderr
    finally:
        os.kill(int((tmp_path / "run" / "stuck").read_text()), signal.SIGKILL)
