"""Keys typed in a terminal: read only in the foreground, and the mode of the terminal is always restored."""

from __future__ import annotations

import contextlib
import os
import pty
import resource
import select
import signal
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from recipe.training.early_end import EarlyEnd
from recipe.training.keys import Keys
from recipe.training.reporting import Live
from tests.helpers import ROOT
from tests.training.helpers import TINY

WORKER = """
import signal, sys, time
from recipe.training.keys import Keys
keys = Keys(lambda shown: print("cursor", shown, flush=True))
if sys.argv[1:] == ["ignore"]:
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
try:
    print("reads", keys.start(), flush=True)
    while not keys.pressed("q"):
        time.sleep(0.01)
    print("pressed", flush=True)
finally:
    keys.stop()
"""
"""Prints whether it reads keys, and waits for a q."""

SHELL = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1]], process_group=0)
if sys.argv[2] == "foreground":
    os.tcsetpgrp(0, worker.pid)
while True:
    _, status = os.waitpid(worker.pid, os.WUNTRACED)
    os.tcsetpgrp(0, os.getpgrp())
    if not os.WIFSTOPPED(status):
        print("ended", os.waitstatus_to_exitcode(status), flush=True)
        break
    print("stopped", flush=True)
    sys.stdin.readline()
    os.tcsetpgrp(0, worker.pid)
    os.killpg(worker.pid, signal.SIGCONT)
    print("continued", flush=True)
"""
"""Starts a worker in a process group of its own, as a shell does, and continues it after a line of input."""


@attrs.define
class Terminal:
    """A terminal with a process, and what it has printed so far."""

    process: int
    master: int
    printed: str = ""

    def wait(self, text: str) -> None:
        """Wait until the process has printed a text."""
        end = time.monotonic() + 60
        while text not in self.printed:
            assert time.monotonic() < end, self.printed
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.printed += os.read(self.master, 65536).decode("utf-8", "replace")
                except OSError:  # every process has closed the terminal
                    assert text in self.printed, self.printed
        self.printed = self.printed.partition(text)[2]

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def end(self) -> int:
        """Read until the process has ended, and return its exit code."""
        while True:
            with contextlib.suppress(OSError):
                if select.select([self.master], [], [], 0.05)[0]:
                    self.printed += os.read(self.master, 65536).decode("utf-8", "replace")
            done, status = os.waitpid(self.process, os.WNOHANG)
            if done:
                self.process = 0
                return os.waitstatus_to_exitcode(status)

    @property
    def mode(self) -> list[Any]:
        return termios.tcgetattr(self.master)

    @property
    def edits_lines(self) -> bool:
        return bool(self.mode[3] & termios.ICANON) and bool(self.mode[3] & termios.ECHO)


@contextlib.contextmanager
def terminal(*words: str) -> Iterator[Terminal]:
    """Start Python with these arguments in a terminal of its own."""
    os.environ.setdefault("TERM", "xterm")
    process, master = pty.fork()
    if process == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.environ.update(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", COLUMNS="200")
        os.execv(sys.executable, [sys.executable, *words])
    shown = Terminal(process, master)
    try:
        yield shown
    finally:
        if shown.process:
            os.kill(shown.process, signal.SIGKILL)
            os.waitpid(shown.process, 0)
        os.close(master)


def test_a_key_is_read_and_the_mode_is_restored() -> None:
    with terminal("-c", WORKER) as shown:
        before = shown.mode
        shown.wait("reads True")
        assert not shown.edits_lines
        shown.type("w\x1b[A qq")
        time.sleep(0.2)
        assert "pressed" not in shown.printed, "only the key alone counts"
        shown.type("q")
        shown.wait("pressed")
        assert shown.end() == 0
        assert shown.mode == before


@pytest.mark.parametrize(("keys", "number"), [("\x03", signal.SIGINT), ("\x1c", signal.SIGQUIT)])
def test_the_mode_is_restored_after_a_signal(keys: str, number: int) -> None:
    with terminal("-c", WORKER) as shown:
        before = shown.mode
        shown.wait("reads True")
        shown.type(keys)
        assert abs(shown.end()) in (number, 1)
        assert shown.mode == before


def test_the_mode_is_restored_while_the_process_is_suspended() -> None:
    with terminal("-c", SHELL, WORKER, "foreground") as shown:
        before = shown.mode
        shown.wait("reads True")
        for _ in range(2):
            assert not shown.edits_lines
            shown.type("\x1a")
            shown.wait("cursor True")
            shown.wait("stopped")
            assert shown.mode == before
            shown.type("\n")
            shown.wait("continued")
            shown.wait("cursor False")
            for _ in range(100):
                if not shown.edits_lines:
                    break
                time.sleep(0.02)
        shown.type("q")
        shown.wait("pressed")
        shown.wait("ended 0")
        assert shown.end() == 0
        assert shown.mode == before


def test_a_process_in_the_background_leaves_the_terminal_alone() -> None:
    with terminal("-c", SHELL, WORKER, "background") as shown:
        before = shown.mode
        shown.wait("reads True")
        shown.type("q")
        time.sleep(0.3)
        assert shown.mode == before
        assert "pressed" not in shown.printed
        assert "stopped" not in shown.printed, "a process in the background that reads is stopped"


def test_nothing_is_read_without_a_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "input").open("w+") as file:
        file.write("q")
        file.seek(0)
        monkeypatch.setattr(sys, "stdin", file)
        keys = Keys()
        assert (keys.start(), keys.pressed("q"), file.read()) == (False, False, "q")
        keys.stop()
    assert signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL
    monkeypatch.setattr(sys, "stdin", None)
    assert not Keys().start()


@pytest.mark.slow
@pytest.mark.parametrize("by", ["q", "SIGTERM"])
def test_q_in_the_live_display_ends_a_training_early(by: str, tmp_path: Path) -> None:
    text = TINY.replace("epochs 2", "epochs 100000")
    with terminal("-m", "recipe", "run", text, "--device", "cpu", "--out", str(tmp_path / "run")) as shown:
        before = shown.mode
        shown.wait("press q to end early")
        shown.wait("epoch 2/100000: training loss ")
        shown.wait("q: end early")
        assert not shown.edits_lines
        if by == "q":
            shown.type("q")
            shown.wait("ended early after step ")
            shown.wait("epochs (ended early)")
            assert shown.end() == 0
        else:
            os.kill(shown.process, signal.SIGTERM)
            shown.wait("stopped at step ")
            assert shown.end() == 143
        assert shown.mode == before
        assert (tmp_path / "run" / "summary.json").exists() == (by == "q")


def test_a_key_that_one_look_has_seen_is_still_seen_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live()
    typed = iter([True, False, False])
    monkeypatch.setattr(Keys, "pressed", lambda keys, key: next(typed))
    ends = EarlyEnd(live)
    assert ends.may_follow(tmp_path)  # at the end of an epoch
    assert ends.reason(tmp_path) == 2
