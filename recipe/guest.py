"""Running the code of a plugin so that what it does wrong is told as its fault, and spoils nothing else."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import attrs

from recipe.diagnostics import RecipeError, fail
from recipe.hooks import HOOKS
from recipe.signals import Interrupted
from recipe.source import Span

if TYPE_CHECKING:
    from recipe.plan import Plan, Use

SHORT = 60
"""Letters of what a hook wrongly gives that are shown."""

IMPORT_SECONDS = 60.0
"""How long the import of a plugin may take; one that imports torch takes a few seconds."""

AGAIN_SECONDS = 1.0
"""How long after that it is told once more, each time that it goes on all the same."""


class Endless(BaseException):
    """A plugin's import that takes longer than it may; no `Exception`, which it might catch in a loop."""


def ask(use: Use, hook: str, *arguments: Any, at: Span | None = None) -> Any:
    """What a trick's hook gives; one that fails, or gives something else than it must, is told as its fault.

    ``at`` is the place in the recipe, where that is another than the trick's words. What the trick itself refuses gets
    the place too. Raises, beside `RecipeError`, what the hook may raise of what it reads (`Hook.lets`).
    """
    about = HOOKS[hook]
    with quiet(), fault_of(use, hook, at=at):
        found = getattr(use.trick, hook)(*arguments)
        if isinstance(found, Iterator):  # whose code has still to run
            found = tuple(found)
        right = about.right(found, *arguments)
    if not right:
        raise broken(use, hook, f"it gives {_shown(found)}, not {about.gives}", at=at)
    return found


class fault_of(contextlib.AbstractContextManager[None]):
    """A context in which a trick's code runs, a hook of it or another part: what is raised is the trick's fault.

    Every hook of every step enters one, and that of a class takes less time than that of a generator.
    """

    def __init__(self, use: Use, what: str, *, at: Span | None = None) -> None:
        self.use, self.what, self.at = use, what, at

    @property
    def _trains(self) -> bool:
        """Whether it runs in a training, which reports too little memory itself."""
        return self.what not in HOOKS or HOOKS[self.what].when not in ("plan", "compile", "export")

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        if error is None:
            return
        if isinstance(error, RecipeError):
            raise _placed(error, self.at or self.use.span) from error
        lets = HOOKS[self.what].lets if self.what in HOOKS else ()
        if isinstance(error, (*lets, KeyboardInterrupt, Interrupted, GeneratorExit)):  # the last three are others' wish
            return
        if self._trains and _is_out_of_memory(error):
            return
        why = first_line(error) + _line_of(error, self.use)
        raise broken(self.use, self.what, why, at=self.at) from error


@contextlib.contextmanager
def placed(span: Span | None) -> Iterator[None]:
    """A context in which an error without a place in the recipe gets this one."""
    try:
        yield
    except RecipeError as error:
        raise _placed(error, span) from error


def _placed(error: RecipeError, span: Span | None) -> RecipeError:
    return type(error)(*(attrs.evolve(one, span=one.span or span) for one in error.diagnostics))


def broken(use: Use, what: str, why: str, *, at: Span | None = None, help: str = "") -> RecipeError:
    """What a trick does wrong, in a hook or in another part, as an error that names its package."""
    code = HOOKS[what].code if what in HOOKS else "E080"
    return fail(code, f"`{use.word}` of {use.declared.package} is broken: {what}: {why}", at or use.span, help=help)


def count(plan: Plan, hook: str) -> int | None:
    """The number of classes, or of training images, of a plan's images; None where there are none, or can't be asked.

    Raises `RecipeError` (E070) where they can't be read.
    """
    use = plan.images
    if use is None:
        return None
    try:
        found: int | None = ask(use, hook)
    except (OSError, ValueError) as error:
        raise fail("E070", f"`{use.word}`: {error}", use.span) from error
    return found


def first_line(error: BaseException) -> str:
    """What was raised, in a line."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"


def _line_of(error: BaseException, use: Use) -> str:
    """Where in the trick's own code something was raised, to be put behind it."""
    file = getattr(sys.modules.get(type(use.trick).__module__), "__file__", None)
    lines = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [(path, line) for path, line in lines if file and os.path.dirname(path) == os.path.dirname(file)]
    return f" ({os.path.basename(own[-1][0])}, line {own[-1][1]})" if own else ""


def _shown(found: Any) -> str:
    """Something in a few words: its shape, where it has one; itself, where that is short."""
    shape, kind = getattr(found, "shape", None), type(found).__name__
    if isinstance(shape, tuple):
        return f"{kind} {(*shape,)}"
    text = repr(found)
    return text if len(text) <= SHORT and text.isprintable() else f"a {kind}"


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether a device has too little memory, which is no fault of a trick; without torch there is none."""
    if "torch" not in sys.modules:
        return False
    from recipe.devices import is_out_of_memory

    return is_out_of_memory(error)


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
    """Raise `Endless` in what takes longer, again and again; only the main thread can be stopped so.

    An alarm of others is kept.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise Endless(f"its import took more than {seconds:g} seconds")

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
