"""The checks, one a file, in the order in which they are made; docs/testing.md says what each of them holds."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recipe.testing.trick_under_test import TrickUnderTest

CHECKS = (
    "docstring",
    "light",
    "canonical",
    "clashes",
    "fields",
    "reversible",
    "no-op",
    "parameters",
    "shapes",
    "batches",
    "rates",
    "deterministic",
    "resume",
    "compiles",
    "devices",
)
"""The name of every check; its file is named so too."""


def rule(name: str) -> Callable[[TrickUnderTest], None]:
    """A check by its name: it raises `Unmet` for what it finds wrong, or `Skipped` where it can't be made.

    Its file, which needs torch, is imported when the check is made: to list the checks of a package is quick.
    """
    word = name.replace("-", "_")
    made: Callable[[TrickUnderTest], None] = getattr(importlib.import_module(f"recipe.testing.rules.{word}"), word)
    return made
