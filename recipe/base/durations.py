"""Durations as they are written and shown: ``90s``, ``20m``, ``1.5h``; ``4:05``, ``1:04:05``."""

from __future__ import annotations

import re

UNITS = {"s": 1, "m": 60, "h": 3600}
"""Seconds in each unit."""


def parse_duration(text: str) -> float | None:
    """The seconds of a duration, or None where the text is no duration that is longer than none.

    >>> [parse_duration(text) for text in ("90s", "20m", "1.5h", "0s", "20")]
    [90.0, 1200.0, 5400.0, None, None]
    """
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    return float(parts[1]) * UNITS[parts[2]] or None if parts else None


def format_duration(seconds: float) -> str:
    """Hours, minutes and seconds; without the hours where there are none.

    >>> format_duration(245), format_duration(3845)
    ('4:05', '1:04:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
