"""Rules for the tests: their folders match the packages, and no test patches an object by a name in a string."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import ROOT

PACKAGES = {path.parent.name for path in (ROOT / "recipe").glob("*/__init__.py")}
ACROSS = {
    "benchmarks", "damage", "docs", "durability", "goldens", "gpu", "intervals", "odd_files", "planted",
    "structure", "two_words",
}  # fmt: skip
"""Test folders that cover more than one package."""
UNTESTED = {"grammar", "examples"}
"""Packages that contain only data, which the tests of the language and the compiler read."""

PATCHING = {"setattr", "delattr", "patch", "multiple"}
"""Functions of pytest's monkeypatch and `unittest.mock` that also accept a target as a string."""


def _called(node: ast.Call) -> str:
    """Return the last part of the name of the called function."""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def patched_by_text(source: str) -> Iterator[int]:
    """Yield the lines that patch a target given as a string."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        targets = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "target")]
        if _called(node) in PATCHING and any(_is_text(target) for target in targets):
            yield node.lineno


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('monkeypatch.setattr("recipe.training.loop.pictures", None)', [1]),
        ('with mock.patch("recipe.runs.checkpoints.save"):\n    pass', [1]),
        ('patch(target="recipe.runs.checkpoints.save")', [1]),
        ('\nmock.patch.multiple(f"{torch}.cuda", count=1)', [2]),
        ('monkeypatch.setattr(loop, "pictures", None); mock.patch.object(torch.cuda, "count")', []),
    ],
)
def test_patches_by_string_are_found(source: str, lines: list[int]) -> None:
    assert [*patched_by_text(source)] == lines


def test_no_test_patches_by_string() -> None:
    files = [path for folder in ("recipe", "tests", "tricks") for path in (ROOT / folder).rglob("*.py")]
    places = [f"{file.relative_to(ROOT)}:{line}" for file in files for line in patched_by_text(file.read_text("utf-8"))]
    assert len(files) > 300
    assert places == [], "pass an object as an argument, or patch an attribute of an imported module"


def test_no_shipped_module_patches() -> None:
    shipped = [*(ROOT / "recipe").rglob("*.py"), *(ROOT / "tricks").rglob("*.py")]
    assert [path for path in shipped if _imports_mock(path)] == []


def _imports_mock(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Import(names=names):
                if any(alias.name.startswith("unittest.mock") for alias in names):
                    return True
            case ast.ImportFrom(module=module, names=names):
                if module == "unittest.mock" or (module == "unittest" and "mock" in {alias.name for alias in names}):
                    return True
    return False


def test_the_test_folders_match_the_packages() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - ACROSS == PACKAGES - UNTESTED
    assert folders >= ACROSS


def test_every_package_has_a_test() -> None:
    empty = [name for name in PACKAGES - UNTESTED if not [*(ROOT / "tests" / name).glob("test_*.py")]]
    assert empty == []


def test_only_tests_of_the_whole_tree_are_outside_a_folder() -> None:
    outside = {path.name for path in (ROOT / "tests").glob("test_*.py")}
    assert outside == {"test_doctests.py", "test_house.py"}, "tests of a package belong in its folder"
