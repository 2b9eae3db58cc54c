"""Diffs without the cache on disk, from programs that are compiled only once."""

from __future__ import annotations

from functools import cache

import recipe
from recipe.compare.api import Diff
from recipe.compiler.summarise import describe
from recipe.compiler.summary import ProgramSummary
from recipe.plan.plan import Plan


@cache
def known(text: str) -> tuple[Plan, ProgramSummary]:
    program = recipe.compile(text, device="meta")
    return program.plan, describe(program)


def compared(a: str, b: str) -> Diff:
    return Diff.between(a, *known(a), b, *known(b))
