"""The time after which a training ends early. Needs no torch."""

from __future__ import annotations

import time

import attrs

from recipe.base.caller import named
from recipe.base.errors import fail
from recipe.base.wording import parse_duration


@attrs.frozen
class TimeLimit:
    """The seconds that a training may take, from ``since`` on the monotonic clock."""

    seconds: float
    since: float = attrs.field(factory=time.monotonic)

    @classmethod
    def of(cls, text: str) -> TimeLimit:
        """Parse a duration such as ``90s``, ``15m`` or ``1.5h``; the time starts now. Raises `RecipeError` (E118)."""
        seconds = parse_duration(text)
        if seconds is None:
            help = "use a time such as `90s`, `15m` or `2h`"
            raise fail("E118", f"invalid value `{text}` for {named('--max-time')}", help=help)
        return cls(seconds)

    @property
    def left(self) -> float:
        """The seconds that are left; negative once they are over."""
        return self.since + self.seconds - time.monotonic()

    @property
    def text(self) -> str:
        """The duration as `of` reads it."""
        return in_seconds(self.seconds)


def in_seconds(seconds: float) -> str:
    """Return a duration in seconds as an option of `recipe run` takes it.

    >>> in_seconds(5400.0), in_seconds(0.25)
    ('5400s', '0.25s')
    """
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"
