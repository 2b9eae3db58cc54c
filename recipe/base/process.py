"""The process of a command: its standard streams, and its end, which code of plugins can't prevent or bring about."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn, TextIO

from recipe.base.errors import RecipeError, fail
from recipe.base.signals import exit_now, stopping
from recipe.base.wording import system_reason


class ReaderLeft(BaseException):
    """The reader of the output has exited. Not an `Exception`, since no code can do anything about it."""


class _Output(io.TextIOWrapper):
    """Standard output. A failed write is E111, or `ReaderLeft` if the reader has exited."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._fail(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise ReaderLeft from None
        help = "free some disk space, or send the output elsewhere"
        raise fail("E111", f"the output can't be written: {system_reason(error)}", help=help) from error


class _Errors(_Output):
    """Standard error. Text that can't be written is lost: a full disk or an absent reader must not end a training."""

    def _fail(self, error: OSError) -> None:
        _discard(self)


def _discard(stream: TextIO) -> None:
    """Discard what a stream has buffered and whatever is written to it from here on."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def open_streams() -> None:
    """Open the standard streams that are closed, and set how failures to write and Python's warnings are reported.

    Otherwise, the next file that is opened would take the place of a closed stream, and errors would be written to it.
    """
    for number, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # the lowest free number
    sys.stdout = _reopened(sys.stdout, _Output, 1)
    sys.stderr = _reopened(sys.stderr, _Errors, 2)
    vars(sys).update(__stdout__=sys.stdout, __stderr__=sys.stderr)  # the old ones can't be used any more
    if os.environ.get("RECIPE_DEBUG") != "1":
        warnings.formatwarning = _as_line


def _as_line(message: Warning | str, *place: object, **more: object) -> str:
    """Return a warning of Python code, such as torch's, in the form of those of `recipe`, without its place there."""
    text = " ".join(str(message).split())
    return f"warning: {''.join(letter if letter.isprintable() else ' ' for letter in text)}\n"


def _reopened(stream: TextIO | None, kind: type[io.TextIOWrapper], number: int) -> TextIO:
    if stream is None:
        return kind(open(number, "wb", closefd=False))
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    options: dict[str, Any] = {name: getattr(stream, name) for name in ("encoding", "line_buffering", "write_through")}
    return kind(stream.detach(), errors="backslashreplace", **options)  # escape what an old encoding can't show


@contextlib.contextmanager
def staying() -> Iterator[None]:
    """A context in which `os._exit` raises `SystemExit`, so that code of a plugin can't end the process unnoticed."""
    process = os.getpid()

    def end(status: int) -> NoReturn:
        if os.getpid() != process:  # a child process ends itself like this
            exit_now(status)
        raise SystemExit(status)

    before, os._exit = os._exit, end
    try:
        yield
    finally:
        os._exit = before


def leave(status: int) -> NoReturn:
    """End the process. Don't wait for threads and child processes that a plugin started; a signal ends any other wait.

    Everything has been done and written, so a signal doesn't change the exit code.
    """
    for number in stopping():
        signal.signal(number, lambda *_: exit_now(status))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (RecipeError, ReaderLeft):  # already reported, and Python would report it again
            _discard(stream)
    if "multiprocessing" in sys.modules:
        import multiprocessing

        for child in multiprocessing.active_children():
            child.kill()
    with contextlib.suppress(BaseException):  # Python reports them, and continues
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(RecipeError, ReaderLeft):
            stream.flush()
    exit_now(status)  # Python's own end restores the system's handlers: a signal would change the exit code
