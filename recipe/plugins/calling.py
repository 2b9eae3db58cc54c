"""Call the hooks of a trick, and report their failures as errors in that trick."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import attrs

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.plain_numbers import plain_numbers
from recipe.base.process import ReaderLeft, staying
from recipe.base.signals import Interrupted
from recipe.base.source import Span
from recipe.base.turns import turn
from recipe.base.wording import first_line
from recipe.plugins.finite import MODE, NotFinite, are_finite
from recipe.plugins.sandbox import quiet
from recipe.plugins.trick import HOOKS
from recipe.plugins.uses import Use


def call_hook(use: Use, hook: str, *arguments: Any, at: Span | None = None) -> Any:
    """Call a trick's hook and return its result. A failure or an invalid result is reported as an error in the trick.

    Errors point at ``at`` in the recipe, or at the trick's words by default, including those that the trick raises
    itself. Of these, an error that names a path which the recipe states for the trick points at that path. Raises
    `RecipeError`, or one of the exceptions in `Hook.lets`, which are about what the hook reads.
    """
    about = HOOKS[hook]
    finite = MODE.checks and are_finite(arguments)
    with turn(), quiet(), staying(), fault_of(use, hook, at=at):
        result = getattr(use.trick, hook)(*arguments)
        if isinstance(result, Iterator):  # its code has not run yet
            result = tuple(result)
        if about.plain:
            result = plain_numbers(result)
        right = about.check(result, *arguments)
    if not right:
        raise broken(use, hook, f"must return {about.gives}, not {_shown(result)}", at=at)
    if finite and not are_finite((result, arguments)):  # some hooks change their arguments
        message = f"`{hook}` of `{use.word}` from {use.declared.package} returned values that are not finite"
        raise NotFinite(Diagnostic("E080", f"{message}, although its arguments are", at or use.span))
    return result


class fault_of(contextlib.AbstractContextManager[None]):
    """A context that runs a trick's hook or other code, and reports what it raises as an error in the trick.

    Every hook of every step enters one. It is a class because that is faster than a generator.
    """

    def __init__(self, use: Use, what: str, *, at: Span | None = None) -> None:
        self.use, self.what, self.at = use, what, at

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        if error is None:
            return
        if isinstance(error, RecipeError):
            raise _placed(error, self.use, self.at or self.use.span) from error
        about = HOOKS.get(self.what)
        lets = about.lets if about else ()
        if isinstance(error, (*lets, KeyboardInterrupt, Interrupted, ReaderLeft)):  # the last three aren't errors
            return
        trains = about is None or about.when not in ("plan", "compile", "export")
        if trains and _is_out_of_memory(error):  # training reports it itself
            return
        why = first_line(error) + _line_of(error, self.use)
        raise broken(self.use, self.what, why, at=self.at) from error


@contextlib.contextmanager
def placed(use: Use) -> Iterator[None]:
    """A context in which errors without a span in the recipe get that of the path they name, or else of the source."""
    try:
        yield
    except RecipeError as error:
        raise _placed(error, use, use.source) from error


def _placed(error: RecipeError, use: Use, span: Span | None) -> RecipeError:
    """Return an error whose parts without a span point at the path of a trick that they name, or else at a span."""
    diagnostics = error.diagnostics
    return type(error)(*(attrs.evolve(one, span=one.span or use.named_in(one.message) or span) for one in diagnostics))


def broken(use: Use, what: str, why: str, *, at: Span | None = None, help: str = "") -> RecipeError:
    """Return the error for a failure in a trick's hook or other code. It names the trick's package."""
    code = HOOKS[what].code if what in HOOKS else "E080"
    return fail(code, f"`{use.word}` from {use.declared.package} is broken: {what}: {why}", at or use.span, help=help)


def _line_of(error: BaseException, use: Use) -> str:
    """Return the line of the trick's own code that raised an error, as a suffix for the message."""
    file = getattr(sys.modules.get(type(use.trick).__module__), "__file__", None)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if file and os.path.dirname(frame.filename) == os.path.dirname(file):
            return f" ({os.path.basename(frame.filename)}, line {frame.lineno})"
    return ""


def _shown(result: Any) -> str:
    """Return a short description of a result: what tensors it has, its repr if short, or its type."""
    kind = type(result).__name__
    if isinstance(result, (list, tuple)) and result and all(hasattr(one, "is_inference") for one in result):
        if len(result) <= 2:
            return " and ".join(map(_shown, result))
        return f"a {kind} of {len(result)} tensors, {' and '.join(sorted({_place(one) for one in result}))}"
    if isinstance(shape := getattr(result, "shape", None), tuple):
        return f"{kind} {(*shape,)}" + (f", {_place(result)}" if hasattr(result, "is_inference") else "")
    text = repr(result)
    return text if len(text) <= 60 and text.isprintable() else f"a {kind}"


def _place(tensor: Any) -> str:
    """Return what a tensor needs to take another one's place, other than its shape."""
    marks = [" with a gradient"] if tensor.requires_grad else []
    marks += [" from inference mode"] if tensor.is_inference() else []
    return f"{tensor.dtype} on {tensor.device}{''.join(marks)}"


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether a device ran out of memory, which is not an error in a trick. Always false if torch isn't loaded."""
    if "torch" not in sys.modules:
        return False
    from recipe.devices.choice import is_out_of_memory

    return is_out_of_memory(error)
