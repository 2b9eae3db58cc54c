"""Differences without a cache, and programs that are compiled once."""

from __future__ import annotations

from functools import cache

import recipe
from recipe.compare.difference import Diff, difference
from recipe.facts import Facts
from recipe.graph.describe import describe
from recipe.plan import Plan


@cache
def known(text: str) -> tuple[Plan, Facts]:
    program = recipe.compile(text, device="meta")
    return program.plan, describe(program)


def compared(a: str, b: str) -> Diff:
    return difference(a, *known(a), b, *known(b))
