"""Signals during a run inside another one, such as a teacher's, and signals that launchers send twice."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recipe.base.caller import commanding
from recipe.base.process import staying
from recipe.base.signals import STOPPING, Interrupted, Signals
from tests.helpers import ROOT, command


def test_a_signal_that_came_too_late_for_the_teacher_stops_the_student() -> None:
    with pytest.raises(Interrupted), Signals():
        _teach()


def _teach() -> None:
    """Simulate a training that gets a signal when it is almost finished."""
    with Signals() as inner, inner.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        assert inner.received == signal.SIGTERM
    raise AssertionError("the student keeps training")


def test_before_a_step_a_signal_ends_the_run_at_once() -> None:
    with pytest.raises(Interrupted) as stopped, Signals():
        os.kill(os.getpid(), signal.SIGINT)
    assert stopped.value.number == signal.SIGINT


def test_a_signal_before_anything_is_written_says_so() -> None:
    with pytest.raises(Interrupted) as stopped, Signals():
        os.kill(os.getpid(), signal.SIGINT)
    assert str(stopped.value) == "stopped by SIGINT before the first step; nothing was written"
    with pytest.raises(Interrupted) as stopped, Signals() as signals:
        _written(signals)
    assert "existing checkpoints, including teachers', are kept: rerun with `resume=True`" in str(stopped.value)


def _written(signals: Signals) -> None:
    """Simulate a run that has created its folder when a signal arrives."""
    signals.written = True
    os.kill(os.getpid(), signal.SIGINT)


def _interrupted_twice(signals: Signals) -> None:
    """Simulate a long step with two signals, within code of a plugin."""
    with staying(), signals.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        signals._first.since -= 2
        os.kill(os.getpid(), signal.SIGTERM)


TWICE = """
import os, signal, time
from recipe.base.caller import commanding
from recipe.base.process import staying
from recipe.base.signals import Signals
last = lambda: print("restored", flush=True)
with {caller}, staying(), Signals(lambda text: print(text, flush=True), last) as signals, signals.deferred():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep({pause})
    os.kill(os.getpid(), signal.SIGTERM)
    print("went on", flush=True)
    signals._first.received = 0
"""


FIRST = "stopping after this step with a checkpoint; send a second signal to quit without one"


@pytest.mark.parametrize(
    ("pause", "status", "told"),
    [("0.0", 0, ["went on"]), ("1.1", 143, ["restored", "stopped without a checkpoint"])],
)
def test_a_second_signal_exits_at_once_unless_it_is_the_same_one(pause: str, status: int, told: list[str]) -> None:
    """Even within code of a plugin, in which `os._exit` is an error of the plugin."""
    code = TWICE.format(pause=pause, caller="commanding()")
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (found.returncode, found.stdout.splitlines(), found.stderr) == (status, [FIRST, *told], "")


def test_in_python_a_second_signal_ends_the_run_and_not_the_process() -> None:
    notes: list[str] = []
    with pytest.raises(Interrupted) as stopped, Signals(notes.append, lambda: notes.append("restored")) as signals:
        _interrupted_twice(signals)
    assert (stopped.value.number, str(stopped.value)) == (signal.SIGTERM, "stopped without a checkpoint")
    assert notes == [FIRST, "restored"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_waits_for_a_missing_one_can_be_stopped(number: signal.Signals) -> None:
    """A signal may end the other process before they connect. torch then waits for it and notices no signal."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    environment = {**os.environ, **group, "RANK": "0", "LOCAL_RANK": "0"}
    command = [sys.executable, "-m", "recipe", "run", "base resnet18; data fake", "--device", "cpu"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        time.sleep(1)  # now it is waiting
        process.send_signal(number)
        try:
            assert process.wait(60) in (-number, 128 + number)
        finally:
            process.kill()


@pytest.mark.parametrize("folder", ["-x", "--strict", "runs/first", "a b", "/tmp/-x"])
def test_the_command_to_resume_can_be_typed(folder: str) -> None:
    with commanding():
        words = shlex.split(str(Interrupted(signal.SIGINT, Path(folder), 3)).partition("resume with: ")[2])
    done = command(*words[1:])
    assert done.status == 2
    assert f"error[E113]: no run found in `{'./' * folder.startswith('-')}{folder}`" in done.stderr


LATE = """
import builtins, os, signal, sys
from recipe.base.process import leave

class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.{signal})

builtins.last = Last()
print("done")
leave({status})
"""


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_while_the_process_ends_does_not_change_its_status(number: signal.Signals) -> None:
    """Python's own end restores the system's handlers before it deletes what is left."""
    code = LATE.format(signal=number.name, status=0)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


SWALLOWED = """
import contextlib, os, signal
from recipe.base.signals import Signals, terminate
from recipe.cli import _failed

terminate()
with contextlib.suppress(BaseException):  # as an import of numpy within torch's does
    os.kill(os.getpid(), signal.{signal})
{then}
"""


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_that_an_import_swallows_still_ends_the_command(number: signal.Signals) -> None:
    then = """
try:
    raise ImportError("cannot load module more than once per process")
except ImportError as error:
    _failed(error)
"""
    code = SWALLOWED.format(signal=number.name, then=then)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (128 + number, "")


def test_a_signal_that_an_import_swallows_still_stops_a_training() -> None:
    then = "with Signals(): print('trains')"
    code = SWALLOWED.format(signal="SIGTERM", then=then)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == ""
    assert "Interrupted: stopped by SIGTERM before the first step" in done.stderr


def test_a_process_with_such_a_signal_waits_for_no_other_process() -> None:
    then = """
import torch
from recipe.devices.distributed import Ranks
Ranks.join(torch.device("cpu"))
"""
    code = SWALLOWED.format(signal="SIGINT", then=then)
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", "WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}
    environment = {**os.environ, **group}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert "Terminated: 2" in done.stderr
