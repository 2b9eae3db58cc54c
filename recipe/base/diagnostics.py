"""Errors and warnings as data."""

from __future__ import annotations

import attrs

from recipe.base.codes import CODES
from recipe.base.source import Span


@attrs.frozen
class Diagnostic:
    """An error or warning: what is wrong, where, and what to do about it.

    ``code`` is a key of `recipe.base.codes.CODES`; codes that start with ``W`` are warnings. ``span`` is the place
    that the message points at. ``others`` are related places, each with a label.
    """

    code: str = attrs.field()
    message: str
    span: Span | None = None
    others: tuple[tuple[Span, str], ...] = ()
    help: str = ""

    @code.validator
    def _known(self, attribute: object, code: str) -> None:
        if code not in CODES:
            raise ValueError(f"unknown code {code!r}")

    @property
    def severity(self) -> str:
        return "warning" if self.code.startswith("W") else "error"
