"""The package has the structure of ARCHITECTURE.md: no import cycles, and no imports from higher tiers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT
from tests.structure.imports import circles, imports
from tests.structure.rooms import package, stays

RETURNS = 11
"""The maximum number of times that a recipe may return to a package."""


def test_there_are_no_import_cycles() -> None:
    assert circles(imports(ROOT / "recipe")) == []


def test_import_cycles_are_found(tmp_path: Path) -> None:
    package = tmp_path / "house"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "cellar.py").write_text("def open():\n    from house.roof import light\n")
    (package / "stairs.py").write_text("from house import cellar\n")
    (package / "roof.py").write_text(
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from house.stairs import steps\n"
    )
    (package / "door.py").write_text("import house.stairs\n")
    assert circles(imports(package)) == [["house.cellar", "house.roof", "house.stairs"]]


@pytest.mark.parametrize(
    "upward",
    [
        "from recipe.cli import main",
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from recipe.plan.plan import Plan",
        "def late():\n    from recipe.training.engine import run",
        "from recipe.tricks.seed import Seed",
    ],
    ids=["plain", "typing", "lazy", "trick"],
)
def test_an_import_from_a_higher_tier_is_rejected(upward: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "recipe", tmp_path / "recipe", ignore=shutil.ignore_patterns("__pycache__", "examples"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "recipe" / "examples").mkdir()
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}", "--no-cache"]
    sound = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert sound.returncode == 0, sound.stdout
    with (tmp_path / "recipe" / "graph" / "net.py").open("a", encoding="utf-8") as file:
        file.write(f"\n\n{upward}\n")
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "recipe.graph.net ->" in refused.stdout


def test_a_recipe_rarely_returns_to_a_package() -> None:
    way = stays(package)
    rooms = {stay.room for stay in way}
    assert {"recipe.language", "recipe.plan", "recipe.compiler", "recipe.training"} <= rooms
    assert len(way) - len(rooms) <= RETURNS
