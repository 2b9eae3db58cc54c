"""What every public function does first: check its arguments, wait for its turn, and leave the caller's modes of torch.

A caller may be in another thread, in a mode of torch, or without a type checker.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from recipe.base.torch_modes import plain_torch
from recipe.base.turns import turn

P = ParamSpec("P")
T = TypeVar("T")

OUT = "out"
"""The argument that names what a function writes."""

WORDS = {
    "bool": "True or False",
    "int": "a whole number",
    "str": "text",
    "Path": "a path",
    "NoneType": "None",
    "Module": "a `torch.nn.Module`",
    "device": "a `torch.device`",
}
"""Types in the words of an error message."""


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """A context that other threads and the caller's modes of torch don't affect, and that leaves both as they were."""
    with turn(), plain_torch():
        yield


def public(**lazy: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return the decorator of a public function.

    Arguments that don't fit the annotations of the function are reported as `TypeError`. One thread at a time is in
    such a function.

    Args:
        lazy: The modules of types in the annotations that the function's module doesn't import, by the type's name.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def entered(*args: P.args, **kwargs: P.kwargs) -> T:
            name = f"recipe.{function.__qualname__}"
            try:
                given = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"`{name}` {error}") from None
            check(name, given, _hints(function, lazy))
            with undisturbed():
                return function(*args, **kwargs)

        return entered

    return decorate


def _hints(function: Callable[..., Any], lazy: Mapping[str, str]) -> dict[str, Any]:
    """Return the types of a function's arguments. Nothing is of a type whose module isn't loaded."""
    unloaded = {name: getattr(sys.modules.get(module), name, type(name, (), {})) for name, module in lazy.items()}
    return typing.get_type_hints(function, localns=unloaded)


def check(function: str, given: inspect.BoundArguments, hints: Mapping[str, Any]) -> None:
    """Raise `TypeError` for the first argument that is not of its type, or `ValueError` if no file has its name."""
    for name, value in given.arguments.items():
        several = given.signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        for one in value if several else (value,):
            if not fits(one, hints.get(name, object)):
                takes = "statements are" if several else f"`{name}` of `{function}` must be"
                raise TypeError(f"{takes} {_said(hints[name])}, not {one!r:.60}")
        if name == OUT and "\0" in str(value):
            raise ValueError(f"`{name}` of `{function}` must be a path, which has no null character, not {value!r:.60}")


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of an annotated type. Text is not a sequence, and neither True nor False is a number."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is tuple:
        return isinstance(value, tuple) and len(value) == len(inner) and all(map(fits, value, inner))
    if origin is Sequence:
        return isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and _all(value, inner[0])
    if origin is Iterable:  # its items are not known before they are used
        return isinstance(value, Iterable) and not isinstance(value, (str, bytes))
    if origin is Mapping:
        return isinstance(value, Mapping) and _all(value.keys(), inner[0]) and _all(value.values(), inner[1])
    return isinstance(value, hint) and not (hint is int and isinstance(value, bool))


def _all(values: Any, hint: Any) -> bool:
    return all(fits(value, hint) for value in values)


def _said(hint: Any) -> str:
    """Return a type in words."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        *most, last = dict.fromkeys(map(_said, inner))
        return f"{', '.join(most)} or {last}" if most else last
    if origin is tuple:
        return f"a tuple of {len(inner)} items: {', '.join(map(_said, inner))}"
    if origin in (Sequence, Iterable):
        return f"a list, each of its items {_said(inner[0])}"
    if origin is Mapping:
        return f"a dictionary from {_said(inner[0])} to {_said(inner[1])}"
    return WORDS.get(hint.__name__, f"a `{hint.__name__}`")
