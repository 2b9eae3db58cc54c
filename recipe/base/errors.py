"""The exceptions that carry diagnostics."""

from __future__ import annotations

from recipe.base.diagnostics import Diagnostic
from recipe.base.rendering import render
from recipe.base.source import Span


class RecipeError(Exception):
    """The recipe can't be used as it is; ``diagnostics`` says why. Command line: exit status 2."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        self.diagnostics = diagnostics
        super().__init__(*diagnostics)

    def __str__(self) -> str:
        return render(self.diagnostics)


class Diverged(RecipeError):
    """Training left the finite numbers. Command line: exit status 3."""


def fail(
    code: str, message: str, span: Span | None = None, *, others: tuple[tuple[Span, str], ...] = (), help: str = ""
) -> RecipeError:
    """A `RecipeError` of one diagnostic, to be raised by the caller."""
    return RecipeError(Diagnostic(code, message, span, others, help))
