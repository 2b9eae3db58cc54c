"""Single keys typed in the terminal of a run, read between two steps.

The terminal gets a mode without line editing and echo. The mode before is restored when reading stops, when the process
is suspended or quits, and never changed while the process is in the background. Only a process that is killed, or that
crashes outside Python, can't restore it; `stty sane` does.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import attrs


@attrs.define(eq=False)
class Keys:
    """The terminal of standard input. ``show_cursor`` shows or hides the cursor when the process is suspended."""

    show_cursor: Callable[[bool], object] = lambda shown: None
    _terminal: int | None = None
    _before: list[Any] | None = None
    """The terminal's mode to restore, or None if the mode is not ours."""
    _process: int = attrs.field(factory=os.getpid)

    def start(self) -> bool:
        """Start reading. Return whether keys can be read: standard input and output are a terminal, in this thread."""
        if threading.current_thread() is not threading.main_thread():
            return False
        with contextlib.suppress(AttributeError, OSError, ValueError):  # no such stream, or not a file
            if sys.stdout.isatty() and sys.stdin.isatty():
                self._terminal = sys.stdin.fileno()
        if self._terminal is None:
            return False
        for number, handler in self._handlers:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, handler)
        self._enter()
        return True

    def stop(self) -> None:
        """Stop reading, and restore the mode of the terminal."""
        self._leave()
        self._terminal = None
        for number, handler in self._handlers:
            if signal.getsignal(number) == handler:
                signal.signal(number, signal.SIG_DFL)

    def pressed(self, key: str) -> bool:
        """Whether this key, and no other, has been typed since the last call. Doesn't wait."""
        if self._terminal is None:
            return False
        if not self._in_foreground():
            self._before = None  # the shell has set a mode of its own
            return False
        self._enter()
        if not select.select([self._terminal], [], [], 0)[0]:
            return False
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTIN])  # in the background, the read then fails
        try:
            typed = os.read(self._terminal, 1024).decode("utf-8", "replace").lower()
        except OSError:
            typed = ""
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return {*typed} == {key}

    @property
    def _handlers(self) -> tuple[tuple[signal.Signals, Callable[[int, FrameType | None], None]], ...]:
        return (signal.SIGTSTP, self._suspend), (signal.SIGQUIT, self._suspend)

    def _in_foreground(self) -> bool:
        with contextlib.suppress(OSError):  # not the terminal that controls this process
            return self._terminal is not None and os.tcgetpgrp(self._terminal) == os.getpgrp()
        return False

    def _enter(self) -> None:
        if self._before is not None or self._terminal is None or not self._in_foreground():
            return
        with contextlib.suppress(termios.error):
            before = termios.tcgetattr(self._terminal)
            mode = [*before[:6], [*before[6]]]
            mode[3] &= ~(termios.ICANON | termios.ECHO)
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 0, 0
            self._before = before  # first, so that an exception in between loses nothing
            termios.tcsetattr(self._terminal, termios.TCSANOW, mode)

    def _leave(self) -> None:
        if self._before is not None and self._terminal is not None and self._in_foreground():
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._before)
        self._before = None

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Restore the terminal, then do what the signal does by default. If that is to stop, continue later."""
        ours = os.getpid() == self._process  # otherwise a process that loads images, which has inherited the handler
        if ours:
            self._leave()
            self.show_cursor(True)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._suspend)
        if ours:
            self.show_cursor(False)
            self._enter()
