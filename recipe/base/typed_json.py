"""JSON that is read back: one strict reader, which checks types and ranges before anything uses the values."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin

import attrs

from recipe.base import files
from recipe.base.wording import plural

if TYPE_CHECKING:
    from cattrs import Converter

MOST = 1 << 24
"""The largest JSON file, in bytes: 16 MiB."""

DIGITS = 30
"""The most digits in an integer. Longer ones are not counts of anything."""

T = TypeVar("T")


class Malformed(ValueError):
    """A file's content is not what it must be. The message is a clause about the file."""


def read_json(path: Path, kind: type[T], most: int = MOST) -> T:
    """Return the content of a JSON file as a ``kind``, such as an attrs class whose validators give the ranges.

    Raises `OSError` if it is missing, is not a regular file, or has more than ``most`` bytes, and `Malformed` if its
    content does not fit.
    """
    return fitted(parsed(files.read(path, most)), kind)


def parsed(content: bytes) -> Any:
    """Return the value of some JSON. Raises `Malformed`, also for a number that is not finite or has many digits."""
    try:
        return json.loads(content.decode(), parse_int=_integer, parse_float=_number, parse_constant=_constant)
    except Malformed:
        raise
    except RecursionError:
        raise Malformed("is nested too deeply") from None
    except MemoryError:
        raise Malformed("is too large") from None
    except ValueError:
        raise Malformed("is not JSON") from None


def fitted(value: Any, kind: type[T]) -> T:
    """Return a parsed value as a ``kind``. Raises `Malformed`.

    Nothing is converted: no text to a number, no boolean to an integer. Fields that ``kind`` doesn't have are ignored.
    """
    try:
        return _converter().structure(value, kind)
    except RecursionError:
        raise Malformed("is nested too deeply") from None
    except Exception as error:  # cattrs raises groups, and whatever a validator raises
        raise Malformed(_reason(error)[:200]) from None


def plain(value: Any) -> Any:
    """Return an instance of an attrs class as plain JSON values, for `fitted` to read back."""
    return _converter().unstructure(value)


def _integer(text: str) -> int:
    if len(text) > DIGITS:
        raise Malformed(f"has a number of {len(text)} digits")
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Malformed("has a number that is not finite")
    return number


def _constant(text: str) -> None:
    raise Malformed("has a number that is not finite")


PLAIN: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    NoneType: "null",
}


@cache
def _converter() -> Converter:
    """Return a converter to JSON values and back that converts nothing on the way, except lists to tuples."""
    from cattrs.gen import make_dict_structure_fn  # slow to import
    from cattrs.preconf.json import make_converter

    converter = make_converter()

    def several(value: Any, kind: Any) -> Any:
        if not isinstance(value, list):
            raise TypeError("it is not a list")
        of, origin = get_args(kind), get_origin(kind)
        kinds = of if origin is tuple and of[-1] is not ... else of[:1] * len(value)
        if len(value) != len(kinds):
            raise TypeError(f"it has {plural(len(value), 'value')} instead of {len(kinds)}")
        parts = (converter.structure(each, own) for each, own in zip(value, kinds, strict=True))
        return [*parts] if origin is list else (*parts,)

    def mapping(value: Any, kind: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError("it is not an object")
        return {name: converter.structure(each, get_args(kind)[1]) for name, each in value.items()}

    def of_class(kind: Any) -> Callable[[Any, Any], Any]:
        structure = make_dict_structure_fn(kind, converter)

        def made(value: Any, kind: Any) -> Any:
            if not isinstance(value, dict):
                raise TypeError("it is not an object")
            return structure(value, kind)

        return made

    for plain_kind in (bool, int, float, str):
        converter.register_structure_hook(plain_kind, _exact)
    converter.register_structure_hook_func(partial(_is_of, (list, tuple)), several)
    converter.register_structure_hook_func(partial(_is_of, (dict, Mapping)), mapping)
    converter.register_structure_hook_func(_is_plain_union, _one_of)
    converter.register_structure_hook_factory(attrs.has, of_class)
    converter.register_structure_hook_func(lambda kind: kind is Any, lambda value, _: _tuples(value))
    return converter


def _is_of(origins: tuple[Any, ...], kind: Any) -> bool:
    return get_origin(kind) in origins


def _is_plain_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType) and PLAIN.keys() >= {*get_args(kind)}


def _exact(value: Any, kind: type) -> Any:
    if type(value) not in ((int, float) if kind is float else (kind,)):
        raise TypeError(f"it is not {PLAIN[kind]}")
    return value


def _one_of(value: Any, kind: Any) -> Any:
    for each in get_args(kind):
        with contextlib.suppress(TypeError):
            return _exact(value, each)
    raise TypeError(f"it is not {' or '.join(PLAIN[each] for each in get_args(kind))}")


def _tuples(value: Any) -> Any:
    """Turn the lists in a value of any type back into tuples, which JSON does not have."""
    return tuple(_tuples(part) for part in value) if isinstance(value, (list, tuple)) else value


def _reason(error: Exception, place: str = "") -> str:
    """Return the first reason why a value does not fit, with the place of the value in the file."""
    from cattrs.errors import ClassValidationError, IterableValidationError

    if isinstance(error, ClassValidationError | IterableValidationError):
        placed, others = error.group_exceptions()
        first, note = [*placed, *((other, None) for other in others)][0]
        return _reason(first, f"{place}.{getattr(note, 'name', '')}".strip("."))
    if isinstance(error, KeyError):
        return f"has no `{place}`"
    return f"has a wrong `{place}`: {error}" if place else f"does not fit: {error}"
