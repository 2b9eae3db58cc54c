"""Errors about images point at the path in the recipe that they are about."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipe.base.errors import RecipeError
from recipe.inference.datasets import open_sets
from tests.helpers import bind
from tests.inference.helpers import paint


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders with one class, with two classes, and without images, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        paint(tmp_path / "two" / name, "red", 4, len(name))
    for folder in ("one", "uno"):
        paint(tmp_path / folder / "cat", "red", 4, len(folder))
    (tmp_path / "none").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("data", "place", "message"),
    [
        ('data folder "absent"', '"absent"', "does not exist"),
        ('data folder "none"', '"none"', "no class folders"),
        ('data folder "one" workers=0', '"one"', "fewer than two classes"),
        ('data folder "one" val="uno"', '"one"', "fewer than two classes"),
        ('data folder "two" val="absent"', 'val="absent"', "does not exist"),
        ('data folder train="two" val="none"', 'val="none"', "no class folders"),
        ('data folder train="absent" val="two"', 'train="absent"', "does not exist"),
        ('data list "absent.csv"', '"absent.csv"', "no such file"),
    ],
)
def test_the_path_that_an_error_is_about(photos: Path, data: str, place: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        open_sets(bind(f"base resnet18; {data}"))
    (found,) = caught.value.diagnostics
    assert found.code == "E070"
    assert found.span is not None
    assert found.span.text == place


def test_a_warning_about_a_path_points_at_it(photos: Path) -> None:
    (warning,) = bind('base resnet18; data folder "two" val="absent"').warnings
    assert "does not exist on this machine" in warning.message
    assert warning.span is not None
    assert "absent" in warning.span.text
    assert "two" not in warning.span.text
