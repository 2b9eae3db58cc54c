"""Plain Python numbers instead of those of other types, such as NumPy's, which JSON and checkpoints can't hold."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

_PLAIN = (int, float, bool, str, type(None))


def plain_numbers(value: Any) -> Any:
    """Return a value with plain numbers and strings, also within tuples, lists and mappings.

    What is neither a number nor a string is unchanged. Raises `OverflowError` for a fraction beyond the floats.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind in (tuple, list):
        return kind(map(plain_numbers, value))
    if isinstance(value, Mapping):
        return {plain_numbers(name): plain_numbers(each) for name, each in value.items()}
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value
