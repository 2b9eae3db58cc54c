"""The blocks of README.md and of all pages do what the pages say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import page_of
from tests.docs.scenes import SCENES, Runs
from tests.helpers import ROOT

PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on machines with few cores
@pytest.mark.parametrize("name", PAGES)
def test_the_blocks_of_a_page(name: str, folder: Path, runs: Runs, tmp_path: Path) -> None:
    if name in SCENES:
        SCENES[name](folder, runs)
    page_of(ROOT / name, name, folder, tmp_path / "bin").check()


def test_every_scene_has_its_page() -> None:
    assert {*SCENES} <= {*PAGES}
