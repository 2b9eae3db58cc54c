"""Where the blocks of a page run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipe.training import estimate
from tests.docs.shell import SMALL
from tests.docs.small.digits import PATCHES, Digits
from tests.helpers import ROOT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a page: digits are few in it, and its modules can be imported."""
    for name, patch in PATCHES.items():
        monkeypatch.setattr(Digits, name, patch)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SMALL), str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(estimate, "PATIENCE", 0.0)  # dry runs measure as little as they can
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "page"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]
