"""The passes of a compilation match: each takes the result of the one before it."""

from __future__ import annotations

from typing import get_type_hints

from recipe.compiler.lower import PASSES, Task
from recipe.compiler.program import Program


def test_each_pass_takes_the_result_of_the_one_before_it() -> None:
    hints = [get_type_hints(each) for each in PASSES]
    given = [Task, *(each.pop("return") for each in hints)]
    taken = [kind for each in hints for kind in each.values()]
    assert given == [*taken, Program]
