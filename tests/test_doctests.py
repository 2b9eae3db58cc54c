"""Run the examples in docstrings. Modules that import torch are covered by the tests of their packages."""

from __future__ import annotations

import doctest
import importlib

import pytest

from tests.helpers import ROOT

LIGHT = ("base", "language", "plugins", "plan", "tricks")
"""Packages that don't need torch."""


def _with_examples(package: str) -> list[str]:
    files = sorted((ROOT / "recipe" / package).glob("*.py"))
    return [f"recipe.{package}.{file.stem}" for file in files if ">>>" in file.read_text("utf-8")]


MODULES = [name for package in LIGHT for name in _with_examples(package)]


def test_there_are_examples() -> None:
    assert {"recipe.language.parser", "recipe.tricks.lr_warmup", "recipe.tricks.lr_cosine"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
