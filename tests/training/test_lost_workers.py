"""Processes that load images and are lost, and what they raise."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor

from recipe.base.errors import RecipeError
from recipe.data.images import InMemory
from recipe.inference.batches import Batch, load
from recipe.plugins.settings import Training
from recipe.training.loading import Steps

IMAGES = InMemory(torch.zeros(16, 3, 8, 8, dtype=torch.uint8), torch.zeros(16, dtype=torch.long))


@attrs.frozen(eq=False)
class Odd(InMemory):
    """Images of which the last one is a matter of its own."""

    what: Any = None

    def fetch(self, indices: np.ndarray, boxer: object) -> Tensor:
        if 15 in indices:
            self.what()
        return super().fetch(indices, boxer)  # type: ignore[arg-type]


def batches(what: object, workers: int) -> Iterator[Batch]:
    images = Odd(IMAGES.pixels, IMAGES.labels, what=what)
    return load(Steps(images, Training(batch=4), None), range(4), workers, False)


def error_of(what: object, workers: int = 2) -> tuple[str, str]:
    with pytest.raises(RecipeError) as caught:
        list(batches(what, workers))
    (found,) = caught.value.diagnostics
    return found.code, found.message


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    os._exit(3)


def fill_memory() -> None:
    torch.empty(1 << 60)


def fill_python_memory() -> None:
    raise MemoryError


def test_a_process_that_is_killed_is_named() -> None:
    assert error_of(kill) == (
        "E117",
        "a process that loads images was killed by SIGKILL; the last checkpoint is intact",
    )
    assert error_of(leave) == ("E117", "a process that loads images exited; the last checkpoint is intact")


def test_a_process_that_is_killed_does_not_raise_in_the_middle_of_a_step() -> None:
    """There, the exception of torch's handler would look like an error in a trick."""
    before = signal.getsignal(signal.SIGCHLD)
    next(batches(print, 1))
    assert signal.getsignal(signal.SIGCHLD) == before


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_raised_in_a_process_keeps_its_meaning(workers: int) -> None:
    for what in (fill_memory, fill_python_memory):
        assert error_of(what, workers) == ("E115", "there is too little memory to load 4 images at once")
    assert error_of(lambda: 1 / 0, workers)[0] == "E080"


def test_processes_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", mock.Mock(side_effect=BlockingIOError(errno.EAGAIN, "Try again")))
    assert error_of(print) == ("E117", "the processes that load images can't be started: try again")


def test_processes_of_which_only_some_can_be_started_do_not_keep_the_command_from_ending() -> None:
    code = (
        "import resource, tests.training.test_lost_workers as t\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))\n"
        "print(t.error_of(print, 9))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert "can't be started: too many open files" in done.stdout


PLUGIN = """
import os, signal
import torch
from recipe.api import Trick, InMemory, Sets, integer, trick

class Killed(InMemory):
    def fetch(self, indices, boxer):
        os.kill(os.getpid(), signal.SIGKILL)

@trick("data killed", position=40, writes=("data",))
class Data(Trick):
    '''Images whose process is killed.'''

    size: int = integer(32, "size", minimum=8, maximum=64)
    workers: int = integer(1, "workers", minimum=0, maximum=4)

    def open(self):
        pixels, labels = torch.zeros(8, 3, 32, 32, dtype=torch.uint8), torch.arange(8) % 2
        return Sets(Killed(pixels, labels), InMemory(pixels, labels), 2)
"""


def test_the_command_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(PLUGIN)
    words = ["run", "base shufflenet_v2_x0_5; data killed; batch 4; epochs 1; lr 0.01", "--out", str(tmp_path / "run")]
    command = [sys.executable, "-m", "recipe", *words, "--plugin", str(tmp_path / "killed.py"), "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error[E117]: a process that loads images was killed by SIGKILL" in done.stderr
    assert "Traceback" not in done.stderr
