"""Words for people: nearest names, lists, plurals, and what an error says in a line."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that ``word`` was most likely meant to be, or None where none is near."""
    lower = {candidate.lower(): candidate for candidate in sorted(candidates, reverse=True)}
    matches = difflib.get_close_matches(word.lower(), sorted(lower), n=1, cutoff=0.5)
    return lower[matches[0]] if matches else None


def did_you_mean(
    word: str,
    candidates: Iterable[str],
    otherwise: str = "",
    *,
    before: str = "",
    form: Callable[[str], str] = "`{}`".format,
) -> str:
    """The question for a word that is unknown, or ``otherwise`` where no candidate is near it.

    ``before`` is text that comes before the question, if there is one; ``form`` writes the candidate.

    >>> did_you_mean("warmpu", ["warmup", "cosine"])
    'did you mean `warmup`?'
    """
    near = nearest(word, candidates)
    return otherwise if near is None else f"{before}did you mean {form(near)}?"


def listing(words: Iterable[str], most: int = 12) -> str:
    """Words in back quotes, with an end that says how many are left out."""
    words = sorted(words)
    shown = ", ".join(f"`{word}`" for word in words[:most])
    return shown + (f" and {len(words) - most} more" if len(words) > most else "")


def plural(number: int, what: str) -> str:
    """A number of things: ``1 epoch``, ``2 epochs``."""
    return f"{number} {what}{'s' * (number != 1)}"


def reason_of(error: BaseException, otherwise: str = "") -> str:
    """The first line of an error's message, or ``otherwise`` where it has none."""
    return (str(error).strip() or otherwise).split("\n")[0]


def first_line(error: BaseException) -> str:
    """The type of an error and the first line of its message."""
    return f"{type(error).__name__}: {reason_of(error, 'no message')}"


def system_reason(error: Exception) -> str:
    """Why the system refused, in lower case, such as ``no space left on device``; the message where it gives none."""
    return str(getattr(error, "strerror", None) or error).lower()


def summary_line(documented: object) -> str:
    """The first line of a docstring; empty where there is none."""
    return inspect.cleandoc(documented.__doc__ or "").split("\n")[0]
