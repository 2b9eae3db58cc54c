"""The outcomes of a check that doesn't pass."""

from __future__ import annotations


class Unmet(AssertionError):
    """A failed check: what is wrong, and how to fix it."""


class Skipped(Exception):
    """A check that doesn't apply to a trick, with the reason."""
