"""Words for people: nearest names, lists, plurals, durations, and errors in a line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
if TYPE_CHECKING:
    pass


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that ``word`` was most likely meant to be, or None where none is near."""
    lower = {candidate.lower(): candidate for candidate in sorted(candidates, reverse=True)}
    found = difflib.get_close_matches(word.lower(), sorted(lower), n=1, cutoff=0.5)
    return lower[found[0]] if found else None


def listing(words: Iterable[str], most: int = 12) -> str:
    """Words in back quotes, with an end that says how many are left out."""
    words = sorted(words)
    shown = ", ".join(f"`{word}`" for word in words[:most])
    return shown + (f" and {len(words) - most} more" if len(words) > most else "")


def plural(number: int, what: str) -> str:
    """A number of things: ``1 epoch``, ``2 epochs``."""
    return f"{number} {what}{'s' * (number != 1)}"


def first_line(error: BaseException) -> str:
    """What was raised, in a line."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
