"""Running the code of a plugin so that it can't print, exit, or keep the process for ever."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

IMPORT_SECONDS = 60.0
"""How long the import of a plugin may take; one that imports torch takes a few seconds."""

AGAIN_SECONDS = 1.0
"""How long after that it is told once more, each time that it goes on all the same."""


class ImportTimeout(BaseException):
    """A plugin's import that takes longer than it may; no `Exception`, which it might catch in a loop."""


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """A context in which a plugin is imported: it can't write to our output, and it must come to an end."""
    with _descriptor_muted(), quiet(), _limited(IMPORT_SECONDS), _staying():
        yield


def quiet() -> contextlib.AbstractContextManager[object]:
    """A context in which what is printed is no part of our output."""
    return contextlib.redirect_stdout(io.StringIO())


@contextlib.contextmanager
def _staying() -> Iterator[None]:
    """A context in which a plugin can't end the process past everyone, as ``os._exit`` does."""

    def end(status: int) -> NoReturn:
        raise SystemExit(status)

    before, os._exit = os._exit, end
    try:
        yield
    finally:
        os._exit = before


@contextlib.contextmanager
def _descriptor_muted() -> Iterator[None]:
    """A context in which nothing comes through file descriptor 1, from a command that is started either."""
    try:
        kept = os.dup(1)
    except OSError:  # it is closed, and so mute
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
    """Let what waits in Python's own output leave for where descriptor 1 leads now."""
    for stream in (sys.stdout, sys.__stdout__):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):  # the reader left, or it is closed
                stream.flush()


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise `ImportTimeout` in what takes longer, again and again: in the main thread, where others set no alarm."""

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
