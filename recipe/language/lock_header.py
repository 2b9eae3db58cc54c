"""The first lines of the lock of a run: the digests of its plan and of its text."""

from __future__ import annotations

import re

import attrs

from recipe.base.identity import digest
from recipe.base.source import LOCK_LINE

VERSION = "v2"
"""The version of plan digests. A lock of an earlier release states no version, no teachers, and no digest of its text.
"""

_TEXT = re.compile(r"# text ([0-9a-f]{16})")


@attrs.frozen
class LockHeader:
    """What the lock of a run states of itself."""

    digest: str
    """The digest of the run's plan."""
    old: bool
    """Whether an earlier release wrote it, whose digests can't be compared with those of this one."""
    body: str
    """Its text without these lines."""
    edited: bool
    """Whether its text has been changed since it was written. Unknown, and so false, for an old lock."""


def read_header(text: str) -> LockHeader | None:
    """Return the header of a lock, or None if a text states no digest of a plan that this release knows."""
    known = LOCK_LINE.match(text)
    if known is None or known[1] not in (None, VERSION):
        return None
    first, _, body = text[known.end() :].partition("\n")
    stated, old = _TEXT.fullmatch(first), known[1] is None
    edited = not old and (stated is None or stated[1] != digest(body.encode()))
    return LockHeader(known[2], old, body, edited)


def with_header(plan: str, body: str) -> str:
    """Return a lock with this body for a plan with this digest."""
    return f"# plan {VERSION} {plan}\n# text {digest(body.encode())}\n{body}"
