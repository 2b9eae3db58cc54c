"""Exceptions that carry diagnostics."""

from __future__ import annotations

import os
import traceback

from recipe.base.diagnostics import Diagnostic
from recipe.base.rendering import render
from recipe.base.source import Span


def shown_in_notebook(error: BaseException) -> list[str]:
    """Return the lines that IPython and notebooks show: the message, or the traceback if RECIPE_DEBUG is 1."""
    if os.environ.get("RECIPE_DEBUG") == "1":
        return traceback.format_exception(error)
    return str(error).splitlines()


class RecipeError(Exception):
    """An error in a recipe or its use. On the command line: exit code 2."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        self.diagnostics = diagnostics
        """The errors, in the order in which they are reported."""
        super().__init__(*diagnostics)

    def __str__(self) -> str:
        return render(self.diagnostics)

    def _render_traceback_(self) -> list[str]:
        """Return what IPython and notebooks show."""
        return shown_in_notebook(self)


class Diverged(RecipeError):
    """The loss or a gradient is no longer finite. On the command line: exit code 3."""


def fail(
    code: str, message: str, span: Span | None = None, *, others: tuple[tuple[Span, str], ...] = (), help: str = ""
) -> RecipeError:
    """Return a `RecipeError` with one diagnostic, for the caller to raise."""
    return RecipeError(Diagnostic(code, message, span, others, help))
