"""Errors and warnings as data."""

from __future__ import annotations

import attrs

from recipe.base.codes import CODES
from recipe.base.source import Span


@attrs.frozen
class Diagnostic:
    """An error or warning: what is wrong, where, and what to do about it."""

    code: str = attrs.field()
    """A code from docs/reference/codes.md, such as ``E020``. Codes of warnings start with ``W``."""
    message: str
    """What is wrong, in one clause."""
    span: Span | None = None
    """The place that the message points at, with its ``line``, ``column`` and ``text``, or None."""
    others: tuple[tuple[Span, str], ...] = ()
    """Related places, each with a label."""
    help: str = ""
    """What to do about it, or empty."""

    @code.validator
    def _known(self, attribute: object, code: str) -> None:
        if code not in CODES:
            raise ValueError(f"unknown code {code!r}")

    @property
    def severity(self) -> str:
        """``error`` or ``warning``."""
        return "warning" if self.code.startswith("W") else "error"
