"""Trace the path of a recipe through the packages, from `recipe.run` to the first step of its training.

Each function that takes the recipe, or a value derived from it, counts once, when it is first called. Methods of such a
value don't count. Consecutive calls in one package ("room") are one stay; another stay in that room is a return.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import attrs

RECIPE = "base resnet18; data fake size=32 classes=10 images=16; batch 8; epochs 1"
CARRIERS = frozenset(
    ("Source", "Recipe", "Statement", "Layers", "ResolvedTrick", "Use", "Plan", "Program", "Trainer", "Update", "Loop")
)
"""Classes of values that a recipe becomes along the path."""


PASSED_BY = ("__init__", "<lambda>", "<genexpr>")
"""Functions that are parts of others or only store their arguments."""


class _FirstStep(BaseException):
    """The first training step starts."""


@attrs.frozen
class Stay:
    """A stay in a package: the functions that took the recipe there, in order."""

    room: str
    functions: tuple[str, ...]


def stays(room_of: Callable[[str], str]) -> list[Stay]:
    """Return the stays of a recipe along its path; ``room_of`` maps a module to its room."""
    import recipe
    from recipe.training.trainer import Trainer

    seen: dict[str, str] = {}

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        code = frame.f_code
        if event != "call" or not module.startswith("recipe.") or code.co_name in PASSED_BY:
            return
        if code.co_qualname == f"{Trainer.__name__}.train_step":
            raise _FirstStep
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if any(_carries(frame.f_locals[name]) for name in names if name not in ("self", "cls")):
            seen.setdefault(f"{module}:{code.co_qualname}", room_of(module))

    with tempfile.TemporaryDirectory() as folder:
        sys.setprofile(watch)
        try:
            recipe.run(RECIPE, out=Path(folder) / "run", device="cpu")
        except _FirstStep:
            pass
        finally:
            sys.setprofile(None)
    way: list[Stay] = []
    for function, room in seen.items():
        if way and way[-1].room == room:
            way[-1] = attrs.evolve(way[-1], functions=(*way[-1].functions, function))
        else:
            way.append(Stay(room, (function,)))
    return way


def _carries(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_carries(part) for part in value)
    return value is RECIPE or type(value).__name__ in CARRIERS


def package(module: str) -> str:
    """Return the package of a module."""
    return ".".join(module.split(".")[:2])
