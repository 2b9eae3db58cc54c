"""The table of hooks is whole: the base class, the documentation and the kit know the same ones."""

from __future__ import annotations

import inspect
import re

import pytest

from recipe.plugins.hooks import HOOKS
from recipe.plugins.slots import COMBINED, EXCLUSIVE
from recipe.plugins.trick import Trick
from recipe.testing.rules.shapes import TRIALS
from tests.helpers import ROOT

SECTION = (ROOT / "docs" / "plugins.md").read_text("utf-8").split("<!-- hooks -->", 1)[1].split("\n\n", 1)[0]
ROWS = {cells[1].strip(" `"): cells for cells in (line.split("|") for line in SECTION.splitlines()[3:])}


def test_every_method_that_a_trick_may_override_is_in_it() -> None:
    methods = {name for name, value in vars(Trick).items() if inspect.isfunction(value) and name[0] != "_"}
    assert {*HOOKS} == methods - {"overrides"}


def test_their_order_is_that_in_which_a_recipe_meets_them() -> None:
    block = inspect.getdoc(Trick).split("::", 1)[1].split("Tricks are values", 1)[0]  # type: ignore[union-attr]
    lines = (re.sub("^(plan|compile|train|export) ", "", line.strip()).split() for line in block.splitlines())
    assert [words[0] for words in lines if words and words[0] in HOOKS] == [*HOOKS]


def test_their_slots_are_slots() -> None:
    assert {slot for hook in HOOKS.values() for slot in hook.slots} <= {*EXCLUSIVE, *COMBINED}


def test_the_documentation_names_each_in_that_order() -> None:
    assert [*ROWS] == [*HOOKS]


@pytest.mark.parametrize("hook", HOOKS)
def test_the_documentation_says_when_and_with_which_slots(hook: str) -> None:
    _, _, when, *_, slots, _ = ROWS[hook]
    assert when.strip() == HOOKS[hook].when
    assert tuple(re.findall("`([a-z ]+)`", slots)) == HOOKS[hook].slots


def test_the_kit_asks_all_that_are_asked_at_each_step() -> None:
    assert {*TRIALS} == {name for name, hook in HOOKS.items() if hook.when in ("each step", "each batch")}
