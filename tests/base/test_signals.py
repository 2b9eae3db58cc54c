"""Signals of one run that is made for another, as a teacher's is, and of a launcher that passes them on."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from recipe.base.signals import Interrupted, Signals
from tests.helpers import ROOT


def test_a_signal_that_came_too_late_for_the_teacher_stops_the_student() -> None:
    with pytest.raises(Interrupted), Signals():
        _teach()


def _teach() -> None:
    """A training that a signal meets when all is done but the last lines."""
    with Signals() as inner, inner.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        assert inner.received == signal.SIGTERM
    raise AssertionError("the student trains on")


def test_before_a_step_a_signal_ends_the_run_at_once() -> None:
    with pytest.raises(Interrupted) as stopped, Signals():
        os.kill(os.getpid(), signal.SIGINT)
    assert stopped.value.number == signal.SIGINT


TWICE = """
import os, signal, time
from recipe.base.signals import Signals
with Signals() as signals, signals.deferred():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep({pause})
    os.kill(os.getpid(), signal.SIGTERM)
    print("went on", flush=True)
    signals._first.received = 0
"""


@pytest.mark.parametrize(("pause", "status", "told"), [("0.0", 0, "went on\n"), ("1.1", 143, "")])
def test_a_second_signal_ends_at_once_and_the_same_one_twice_does_not(pause: str, status: int, told: str) -> None:
    code = TWICE.format(pause=pause)
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (status, told)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_waits_for_one_that_never_comes_can_be_ended(number: signal.Signals) -> None:
    """As where a signal ended the other one before they met: torch waits for it, and hears of no signal."""
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
        time.sleep(1)  # it waits now
        process.send_signal(number)
        try:
            assert process.wait(60) in (-number, 128 + number)
        finally:
            process.kill()
