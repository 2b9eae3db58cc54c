"""Errors and warnings as data."""

from __future__ import annotations

import attrs

from recipe.base.codes import CODES
from recipe.base.source import Span


@attrs.frozen
class Diagnostic:
    """One thing to tell the user: what is wrong, where, and what to do.

    ``code`` is a key of `recipe.base.codes.CODES`; codes that begin with ``W`` are warnings. ``span`` is the place
    itself, ``others`` are further places with a word on each.
    """

    code: str = attrs.field()
    message: str
    span: Span | None = None
    others: tuple[tuple[Span, str], ...] = ()
    help: str = ""

    @code.validator
    def _known(self, attribute: object, code: str) -> None:
        if code not in CODES:
            raise ValueError(f"there is no code {code!r}")

    @property
    def severity(self) -> str:
        return "warning" if self.code.startswith("W") else "error"
