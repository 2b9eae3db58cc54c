"""What all tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from recipe.registry import Vocabulary
from tests import helpers

if "PYTEST_XDIST_WORKER" in os.environ:  # as many workers as cores: a thread for each, and for what it starts
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)

# The same examples in every run, and none is timed.
settings.register_profile("recipe", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("recipe")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The tests leave the user's cache alone, and begin with an empty one."""
    os.environ["RECIPE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder where packages can be installed for one test."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """The installed vocabulary."""
    return helpers.vocabulary()
