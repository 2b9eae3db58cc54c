"""The reference pages are up to date and complete."""

from __future__ import annotations

import doctest
import re
from types import ModuleType

import griffe
import pytest

import recipe
import recipe.api
import recipe.testing
from recipe.base.codes import CODES
from recipe.cli import COMMANDS
from tests.docs import markdown, rendering, scripts
from tests.docs.__main__ import FOLDER, stale
from tests.docs.tricks import built_in
from tests.helpers import ROOT


def headings(page: str) -> set[str]:
    return set(re.findall(r"^#+ (.+)$", markdown.without_code((FOLDER / page).read_text("utf-8")), re.M))


def test_generated_pages_are_up_to_date() -> None:
    assert stale() == [], "run `python -m tests.docs`"


def test_every_command_has_a_heading() -> None:
    assert {f"recipe {name}" for name in COMMANDS} <= headings("commands.md")


def test_every_code_has_a_heading() -> None:
    assert {f"{code}: {title}" for code, (title, _) in CODES.items()} <= headings("codes.md")


def test_every_trick_has_a_heading() -> None:
    assert {trick.declared.word for tricks in built_in().values() for trick in tricks} <= headings("tricks.md")


@pytest.mark.parametrize("module", [recipe, recipe.api, recipe.testing], ids=lambda module: module.__name__)
def test_every_public_name_is_documented(module: ModuleType) -> None:
    page = (FOLDER / "python.md").read_text("utf-8")
    documented = set(re.findall(rf"^::: {re.escape(module.__name__)}\.(\w+)$", page, re.M))
    assert documented == {name for name in module.__all__ if name != "__version__"}


def test_every_public_member_has_a_docstring() -> None:
    loader = griffe.GriffeLoader(search_paths=[str(ROOT)])
    package = loader.load("recipe")
    names = re.findall(r"^::: recipe\.([\w.]+)$", (FOLDER / "python.md").read_text("utf-8"), re.M)
    found = [package[name] for name in names]
    members = [part for whole in found if whole.is_class for part in whole.all_members.values()]
    members = [part for part in members if not part.name.startswith("_")]
    assert len(members) > 250
    assert [part.path for part in (*found, *members) if not part.has_docstring] == []


@pytest.mark.parametrize("module", [markdown, rendering, scripts], ids=lambda module: module.__name__)
def test_examples(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
