"""SIGINT, SIGTERM and SIGHUP: the first asks a run to save a checkpoint and stop; a second one ends it immediately."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import attrs

from recipe.base.caller import is_command, option, resuming
from recipe.base.errors import shown_in_notebook

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a run to stop. A terminal that is closed sends SIGHUP."""

TWICE = 1.0
"""Seconds within which a repeated signal counts as the same one, sent to a process and forwarded by its launcher."""


exit_now = os._exit
"""The original `os._exit`. While plugins run, that name stands for another function."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP while no training is in progress. Not a `SystemExit`, as a plugin's code might raise that."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        """The number of the signal."""


class Interrupted(BaseException):
    """Raised if a signal stops a run or an ablation. Like `KeyboardInterrupt`, it is not an `Exception`.

    If training has begun, the message names the command or the call that resumes the run.
    """

    def __init__(
        self,
        number: int,
        folder: Path,
        step: int,
        options: Sequence[str] = (),
        *,
        written: bool = True,
        message: str = "",
    ) -> None:
        """``options`` are those of the command that resumes the run. ``written`` is whether there may be files of it.

        ``message`` replaces the usual one.
        """
        self.number = number
        """The number of the signal."""
        self.folder = folder
        """The folder of the run or the ablation."""
        self.step = step
        """The number of completed steps, or 0 if the signal arrived before the first step."""
        name = signal.Signals(number).name
        kept = f"existing checkpoints, including teachers', are kept: rerun with {option('--resume')}"
        super().__init__(
            message
            or (
                f"stopped at step {step} by {name}; resume with: {resuming(folder, options)}"
                if step
                else f"stopped by {name} before the first step; {kept if written else 'nothing was written'}"
            )
        )

    def _render_traceback_(self) -> list[str]:
        """Return what IPython and notebooks show."""
        return shown_in_notebook(self)


def stopping() -> tuple[signal.Signals, ...]:
    """Return the signals that ask this process to stop. SIGHUP isn't one of them if it is ignored, as under nohup."""
    return tuple(one for one in STOPPING if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN)


def terminate() -> None:
    """Raise `Terminated` on SIGTERM and SIGHUP, and `KeyboardInterrupt` on SIGINT. `asked` returns the signal."""
    for number in stopping():
        if number != signal.SIGINT or signal.getsignal(number) is signal.default_int_handler:
            signal.signal(number, _terminate)


_asked = 0


def _terminate(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = number
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)


def asked() -> int:
    """Return the number of the signal that has asked this process to stop, or 0.

    What it raised may have been lost: packages that are being imported ignore or replace errors of what they import.
    """
    return _asked


def ignore() -> None:
    """Ignore the signals that ask to stop, from here on."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def handled(handler: Any) -> Iterator[bool]:
    """Handle the signals that ask to stop, and yield True; outside the main thread, do nothing and yield False."""
    if threading.current_thread() is not threading.main_thread():
        yield False
        return
    before = {number: signal.signal(number, handler) for number in stopping()}
    try:
        yield True
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


@attrs.define
class FirstSignal:
    """A handler that records the first signal. A second one ends the process of a command immediately.

    A program in Python or a notebook keeps its process: there, the second signal raises an error.

    ``received`` is the number of the first signal, or 0. ``then`` is called with that number, and ``last`` with that
    of the second, just before the end. It returns the error.
    """

    then: Callable[[int], None]
    last: Callable[[int], Interrupted]
    received: int = 0
    since: float = 0.0

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        now = time.monotonic()
        if not self.received:
            self.received, self.since = number, now
            self.then(number)
        elif now - self.since > TWICE:
            stopped = self.last(number)
            if not is_command():
                raise stopped
            exit_now(128 + number)


class Signals:
    """A context that records the signals that ask to stop; ``received`` is the number of the first one.

    Outside `deferred`, when there is nothing to save yet, a signal ends the run immediately by raising `Interrupted`.
    """

    def __init__(
        self, tell: Callable[[str], None] = lambda text: None, last: Callable[[], None] = lambda: None
    ) -> None:
        """``tell`` receives notes. ``last`` is called just before a second signal ends the process or the run."""
        self.folder = Path()
        """The folder of the run, once it is known."""
        self.written = False
        """Whether there may be files of this run or its teachers."""
        self._tell, self._last = tell, last
        self._first = FirstSignal(self._stop, self._end)
        self._deferring = False
        self._held = contextlib.ExitStack()
        self._handling = False
        self._parent = os.getppid()

    @property
    def received(self) -> int:
        """The number of the signal received, or 0. If the launcher of this process has exited, SIGTERM."""
        if not self._first.received and os.environ.get("TORCHELASTIC_RUN_ID") and os.getppid() != self._parent:
            self._first.received = int(signal.SIGTERM)
        return self._first.received

    def __enter__(self) -> Signals:
        self._handling = self._held.enter_context(handled(self._first))
        if number := asked():
            self._held.close()
            raise Interrupted(number, self.folder, 0, written=self.written)
        return self

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer signals until the end of the current step while training is in progress."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def _stop(self, number: int) -> None:
        if self._deferring:
            self._tell("stopping after this step with a checkpoint; send a second signal to quit without one")
        else:
            raise Interrupted(number, self.folder, 0, written=self.written)

    def _end(self, number: int) -> Interrupted:
        self._last()
        stopped = Interrupted(number, self.folder, 0, message="stopped without a checkpoint")
        if is_command():
            self._tell(str(stopped))
        return stopped

    def __exit__(self, kind: object, *_: object) -> None:
        self._held.close()
        if self._first.received and kind is None and self._handling:  # too late for this run, so pass it on
            os.kill(os.getpid(), self._first.received)
