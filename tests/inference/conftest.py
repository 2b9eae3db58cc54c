"""A run that is trained once for all tests in this folder, and copied to where neither its data nor its path exist."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import recipe
from recipe.inference.run import Run
from tests.inference.helpers import photos, recipe_of


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(scope="session")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run, in its first folder, with its data."""
    return recipe.run(recipe_of(data), out=tmp_path_factory.mktemp("runs") / "colors", device="cpu")


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose data has been removed, in another folder than the one that it was trained in."""
    made = tmp_path_factory.mktemp("alone")
    photos(made / "photos")
    recipe.run(recipe_of(made / "photos"), out=made / "run", device="cpu")
    shutil.rmtree(made / "photos")
    (made / "run").rename(made / "moved")
    return recipe.load(made / "moved", device="cpu")
