"""The examples in docstrings hold. Modules that need torch at their top are tested beside what else is said of them."""

from __future__ import annotations

import doctest
import importlib

import pytest

from tests.helpers import ROOT

CORE = ("syntax", "layout", "layers", "bind", "fields", "registry", "slots", "plan", "source", "diagnostics", "codes")


def _with_examples(folder: str, names: list[str]) -> list[str]:
    texts = {name: (ROOT / folder / f"{name}.py").read_text("utf-8") for name in names}
    return [
        f"recipe.{name}" if folder == "recipe" else f"recipe.tricks.{name}" for name in names if ">>>" in texts[name]
    ]


MODULES = [
    *_with_examples("recipe", list(CORE)),
    *_with_examples("tricks", sorted(path.stem for path in (ROOT / "tricks").glob("*.py"))),
]


def test_there_are_examples() -> None:
    assert {"recipe.language.parser", "recipe.tricks.lr_warmup", "recipe.tricks.lr_cosine"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
