"""Signals of one run that is made for another, as a teacher's is, and of a launcher that passes them on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from recipe.signals import Interrupted, Signals
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
from recipe.signals import Signals
with Signals() as signals, signals.deferred():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep({pause})
    os.kill(os.getpid(), signal.SIGTERM)
    print("went on", flush=True)
    signals._received = 0
"""


@pytest.mark.parametrize(("pause", "status", "told"), [("0.0", 0, "went on\n"), ("1.1", 143, "")])
def test_a_second_signal_ends_at_once_and_the_same_one_twice_does_not(pause: str, status: int, told: str) -> None:
    code = TWICE.format(pause=pause)
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (status, told)
