"""What a check can come to, other than that all is well."""

from __future__ import annotations


class Unmet(AssertionError):
    """What a check found wrong, and what to do."""


class Skipped(Exception):
    """Why a check can't be made of a trick."""
