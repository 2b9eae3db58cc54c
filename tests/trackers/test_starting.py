"""Trackers that ``recipe run --log`` starts: none of them affects the training."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import recipe
from recipe.trackers.starting import Trackers
from tests.helpers import command
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
    assert trackers.wait() == "logging to `csv`, `mlflow` failed"


def test_the_command_that_resumes_the_run_repeats_them(tmp_path: Path) -> None:
    done = command("run", TINY, "--out", tmp_path / "run", "--device", "cpu", "--log", "csv", "--max-time", "0.01s")
    assert done.status == 0, done.stderr
    assert "--log csv" in next(line for line in done.stderr.splitlines() if "--resume" in line)
