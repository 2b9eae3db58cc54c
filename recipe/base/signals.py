"""SIGINT and SIGTERM: the first asks a training to save and stop, a second ends it at once."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import attrs

BOTH = (signal.SIGINT, signal.SIGTERM)

TWICE = 1.0
"""Seconds in which a signal that comes again is the same one, sent to a process and passed on by its launcher."""


class Terminated(KeyboardInterrupt):
    """SIGTERM where nothing is under way that would save first; no `SystemExit`, which a plugin's code might raise."""


class Interrupted(BaseException):
    """A training that stopped on a signal, its checkpoint saved; ``options`` are those that it needs to go on."""

    def __init__(self, number: int, folder: Path, step: int, options: Sequence[str] = ()) -> None:
        self.number, self.folder, self.step = number, folder, step
        name, command = signal.Signals(number).name, ["recipe", "run", f"--resume={folder}", *options]
        super().__init__(
            f"stopped at step {step} by {name}; go on with: {shlex.join(command)}"
            if step
            else f"stopped by {name} before a step was made; what was saved, of a teacher too, is kept: add --resume"
        )


def ignore() -> None:
    """Ignore SIGINT and SIGTERM from here on."""
    for number in BOTH:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def handled(handler: Any) -> Iterator[bool]:
    """Have SIGINT and SIGTERM handled so, in the first thread of a process only; gives whether they are."""
    if threading.current_thread() is not threading.main_thread():
        yield False
        return
    before = {number: signal.signal(number, handler) for number in BOTH}
    try:
        yield True
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


@attrs.define
class FirstSignal:
    """A handler that notes the first signal; a second one ends the process at once.

    ``received`` is the number of the first, or 0. ``then`` is called with it; ``last`` is called before the end.
    """

    then: Callable[[int], None]
    last: Callable[[], None] = lambda: None
    received: int = 0
    since: float = 0.0

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        now = time.monotonic()
        if not self.received:
            self.received, self.since = number, now
            self.then(number)
        elif now - self.since > TWICE:
            self.last()
            os._exit(128 + number)


class Signals:
    """A context in which the two signals are noted; ``received`` is the number of the one that came.

    Outside of `deferred`, where there is nothing to save yet, one ends the run at once, as `Interrupted`.
    """

    def __init__(self, tell: Callable[[str], None] = lambda text: None) -> None:
        self.folder, self._tell = Path(), tell
        self._first = FirstSignal(self._stop)
        self._deferring = False
        self._held = contextlib.ExitStack()
        self._handling = False
        self._parent = os.getppid()

    @property
    def received(self) -> int:
        """The number of the signal; SIGTERM also where the launcher of this process is gone."""
        if not self._first.received and os.environ.get("TORCHELASTIC_RUN_ID") and os.getppid() != self._parent:
            self._first.received = int(signal.SIGTERM)
        return self._first.received

    def __enter__(self) -> Signals:
        self._handling = self._held.enter_context(handled(self._first))
        return self

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """While a training is under way, a signal waits for the end of its step."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def _stop(self, number: int) -> None:
        if self._deferring:
            self._tell("stopping after this step, with a checkpoint; a second signal ends the run at once, without")
        else:
            raise Interrupted(number, self.folder, 0)

    def __exit__(self, kind: object, *_: object) -> None:
        self._held.close()
        if self._first.received and kind is None and self._handling:  # it came too late for this run, not for others
            os.kill(os.getpid(), self._first.received)
