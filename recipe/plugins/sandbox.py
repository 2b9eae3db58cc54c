"""Run the code of a plugin so that it can't print, exit, or block the process forever."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from recipe.base.process import staying
from recipe.base.turns import turn

IMPORT_SECONDS = 60.0
"""The time limit for importing a plugin. Importing torch takes a few seconds."""

AGAIN_SECONDS = 1.0
"""The interval at which a plugin that exceeds the limit is interrupted again until it stops."""


class ImportTimeout(BaseException):
    """A plugin's import exceeded the time limit. Not an `Exception`, which the plugin might catch in a loop."""


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """A context for importing a plugin, which can't write to standard output and must finish in time."""
    with turn(), _descriptor_muted(), quiet(), _limited(IMPORT_SECONDS), staying():
        yield


def quiet() -> contextlib.AbstractContextManager[object]:
    """A context that discards whatever is printed."""
    return contextlib.redirect_stdout(io.StringIO())


@contextlib.contextmanager
def _descriptor_muted() -> Iterator[None]:
    """A context that discards what is written to file descriptor 1, including by child processes."""
    try:
        kept = os.dup(1)
    except OSError:  # already closed
        yield
        return
    try:
        _flush()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
        yield
    finally:
        _flush()
        os.dup2(kept, 1)
        os.close(kept)


def _flush() -> None:
    """Flush Python's own output to the current target of descriptor 1."""
    for stream in (sys.stdout, sys.__stdout__):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):  # the pipe is broken, or the stream is closed
                stream.flush()


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise `ImportTimeout` repeatedly after a time limit. Only in the main thread, and if no alarm is already set."""

    def end(number: int, frame: FrameType | None) -> None:
        raise ImportTimeout(f"its import took more than {seconds:g} seconds")

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return
    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
