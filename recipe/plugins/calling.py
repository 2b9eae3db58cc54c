"""Calling the hooks of a trick, so that what it does wrong is reported as an error in that trick."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import attrs

from recipe.base.errors import RecipeError, fail
from recipe.base.signals import Interrupted
from recipe.base.source import Span
from recipe.base.wording import first_line
from recipe.plugins.sandbox import quiet
from recipe.plugins.trick import HOOKS
from recipe.plugins.uses import Use


def call_hook(use: Use, hook: str, *arguments: Any, at: Span | None = None) -> Any:
    """What a trick's hook gives; one that fails, or gives something else than it must, is told as its fault.

    ``at`` is the place in the recipe, where that is another than the trick's words. What the trick itself refuses gets
    the place too. Raises, beside `RecipeError`, what the hook may raise of what it reads (`Hook.lets`).
    """
    about = HOOKS[hook]
    with quiet(), fault_of(use, hook, at=at):
        result = getattr(use.trick, hook)(*arguments)
        if isinstance(result, Iterator):  # whose code has still to run
            result = tuple(result)
        right = about.check(result, *arguments)
    if not right:
        raise broken(use, hook, f"it gives {_shown(result)}, not {about.gives}", at=at)
    return result


class fault_of(contextlib.AbstractContextManager[None]):
    """A context in which a trick's code runs, a hook of it or another part: what is raised is the trick's fault.

    Every hook of every step enters one, and that of a class takes less time than that of a generator.
    """

    def __init__(self, use: Use, what: str, *, at: Span | None = None) -> None:
        self.use, self.what, self.at = use, what, at

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        if error is None:
            return
        if isinstance(error, RecipeError):
            raise _placed(error, self.at or self.use.span) from error
        about = HOOKS.get(self.what)
        lets = about.lets if about else ()
        if isinstance(error, (*lets, KeyboardInterrupt, Interrupted, GeneratorExit)):  # the last three are others' wish
            return
        trains = about is None or about.when not in ("plan", "compile", "export")
        if trains and _is_out_of_memory(error):  # which a training reports itself
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
    return type(error)(*(attrs.evolve(problem, span=problem.span or span) for problem in error.diagnostics))


def broken(use: Use, what: str, why: str, *, at: Span | None = None, help: str = "") -> RecipeError:
    """What a trick does wrong, in a hook or in another part, as an error that names its package."""
    code = HOOKS[what].code if what in HOOKS else "E080"
    return fail(code, f"`{use.word}` of {use.declared.package} is broken: {what}: {why}", at or use.span, help=help)


def _line_of(error: BaseException, use: Use) -> str:
    """Where in the trick's own code something was raised, to be put behind it."""
    file = getattr(sys.modules.get(type(use.trick).__module__), "__file__", None)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if file and os.path.dirname(frame.filename) == os.path.dirname(file):
            return f" ({os.path.basename(frame.filename)}, line {frame.lineno})"
    return ""


def _shown(result: Any) -> str:
    """Something in a few words: its shape, where it has one; itself, where that is short."""
    shape, kind = getattr(result, "shape", None), type(result).__name__
    if isinstance(shape, tuple):
        return f"{kind} {(*shape,)}"
    text = repr(result)
    return text if len(text) <= 60 and text.isprintable() else f"a {kind}"


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether a device has too little memory, which is no fault of a trick; without torch there is none."""
    if "torch" not in sys.modules:
        return False
    from recipe.devices.choice import is_out_of_memory

    return is_out_of_memory(error)
