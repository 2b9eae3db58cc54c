"""Test tools for tricks, built-in or your own: assertions about rewrites, and the checks that every trick must pass.

`recipe test-plugin` and pytest's ``--recipe-tricks`` option run the checks, which docs/guides/test-a-trick.md
describes. Importing this package doesn't require pytest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recipe.testing.asserts import assert_rejects, assert_rewrites
    from recipe.testing.findings import Skipped, Unmet
    from recipe.testing.models import small
    from recipe.testing.suite import CHECKS, Check, checks

__all__ = ["CHECKS", "Check", "Skipped", "Unmet", "assert_rejects", "assert_rewrites", "checks", "small"]

_HOMES = {
    "CHECKS": "recipe.testing.suite",
    "Check": "recipe.testing.suite",
    "Skipped": "recipe.testing.findings",
    "Unmet": "recipe.testing.findings",
    "assert_rejects": "recipe.testing.asserts",
    "assert_rewrites": "recipe.testing.asserts",
    "checks": "recipe.testing.suite",
    "small": "recipe.testing.models",
}


def __getattr__(name: str) -> Any:
    """Import public names on first use, because pytest imports this package in every session."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
