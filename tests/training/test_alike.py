"""All processes of a training have the same images, or report that they don't."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from recipe.base.errors import RecipeError
from recipe.devices.distributed import Ranks
from recipe.inference.datasets import open_sets
from recipe.training.alike import check_alike
from tests.helpers import bind
from tests.inference.helpers import COLORS, paint


@attrs.define(eq=False)
class Two(Ranks):
    """Two processes. The first one sends what it has, and the second one knows that."""

    sent: Any = None

    def gather(self, value: Any) -> list[Any]:
        self.sent = self.sent or value
        return [self.sent, value]


def photos(root: Path, first: int = 0) -> Path:
    for label, name in enumerate(COLORS):
        paint(root / name, name, 9, first + label)
    return root


def test_processes_with_other_files_are_reported(tmp_path: Path) -> None:
    processes = Two(0, 2)

    def check(root: Path) -> None:
        check_alike(processes, open_sets(bind(f'base timm:test_resnet; data folder "{root}" size=32 val=30%')), None)

    check(photos(tmp_path / "a"))
    check(photos(tmp_path / "b"))  # elsewhere, with the same contents
    with pytest.raises(RecipeError, match="different images: the training ones") as error:
        check(photos(tmp_path / "c", first=7))
    assert "state the revision of a dataset" in error.value.diagnostics[0].help
    next((tmp_path / "b").glob("*/0.png")).unlink()
    with pytest.raises(RecipeError, match="process 1 and the first one have different"):
        check(tmp_path / "b")
