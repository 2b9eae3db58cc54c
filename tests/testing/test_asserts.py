"""Assertions about rewrites: what they accept and reject."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from recipe.plugins.vocabulary import Vocabulary
from recipe.testing import assert_rejects, assert_rewrites, small
from tests.testing.broken import HEAD, SOUND


@pytest.fixture
def theirs(tmp_path: Path) -> Vocabulary:
    file = tmp_path / "bounded.py"
    file.write_text(HEAD.format(syntax="tweak bounded") + SOUND["tweak bounded"])
    return Vocabulary.installed([file])


def test_the_sites_of_a_rewrite(theirs: Vocabulary) -> None:
    assert assert_rewrites("base resnet50; tweak C D", {"tweak C": 1, "tweak D": 3}).costs.params == 25576264
    program = assert_rewrites("tweak bounded", {"tweak bounded": 1}, base=small(), plugins=theirs)
    assert assert_rewrites("tweak bounded", program.edits, base=small(), plugins=theirs).edits == program.edits


def test_unexpected_sites_fail(theirs: Vocabulary) -> None:
    with pytest.raises(AssertionError, match=r"produces \{'tweak D': 3\}, not \{'tweak D': 4\}"):
        assert_rewrites("base resnet50; tweak D", {"tweak D": 4})
    with pytest.raises(AssertionError, match="produces"):
        assert_rewrites("tweak bounded", (), base=small(), plugins=theirs)


def test_an_expected_rejection(theirs: Vocabulary) -> None:
    assert "vgg11" in assert_rejects("base vgg11; tweak D", "E101").message
    assert "conflict" in assert_rejects("tweak bounded; tweak C", "E030", small(), theirs).message


def test_a_missing_or_different_rejection_fails() -> None:
    with pytest.raises(AssertionError, match="compiles, but should be rejected with E101"):
        assert_rejects("base resnet50; tweak D", "E101")
    with pytest.raises(AssertionError, match="is rejected with E101, not E030"):
        assert_rejects("base vgg11; tweak D", "E030")


@pytest.mark.parametrize("name", ["asserts", "rules.declaration"])
def test_examples_in_docstrings(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"recipe.testing.{name}"))
    assert (found.attempted > 0, found.failed) == (True, 0)


def test_neither_pytest_nor_torch_is_imported_with_the_package() -> None:
    code = "import sys, recipe.testing; print([name for name in ('pytest', 'torch', 'attrs') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
    code = "import sys; from recipe.testing import checks; print('pytest' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_the_pytest_plugin_imports_little() -> None:
    code = (
        "import sys, recipe.testing.plugin; "
        "print([name for name in ('torch', 'numpy', 'attrs', 'recipe.plugins.trick') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
