"""The report that a failed command leaves for the process that started it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipe.base import failure
from recipe.base.errors import RecipeError, fail
from tests.helpers import command


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(failure.VARIABLE, str(tmp_path / "failure.json"))
    return tmp_path / "failure.json"


def test_recipe_errors_are_written_as_data(file: Path) -> None:
    done = command("run", "base resnet18; data digits; lr cosin", "--dry-run")
    (error,) = json.loads(file.read_text())["diagnostics"]
    assert done.status == 2
    assert f"error[{error['code']}]: {error['message']}" in done.stderr
    assert (error["place"]["line"], error["place"]["text"]) == (1, "cosin")
    assert failure.left_in(file) == failure.Failure((error["code"],), error["message"])


def test_a_command_that_succeeds_writes_nothing(file: Path) -> None:
    assert command("check", "base resnet18; data digits").status == 0
    assert failure.left_in(file) is None


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (ValueError("odd\nand more"), failure.Failure((), "ValueError: odd")),
        (RecipeError(*fail("E112", "a").diagnostics, *fail("W001", "b").diagnostics), failure.Failure(("E112",), "a")),
    ],
)
def test_a_report_is_read_back(error: Exception, left: failure.Failure, tmp_path: Path) -> None:
    failure.write(tmp_path / "x.json", error)
    assert failure.left_in(tmp_path / "x.json") == left


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"diagnostics": [], "internal_error": null}', '{"diagnostics": [1]}']
)
def test_an_invalid_report_is_ignored(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    assert failure.left_in(tmp_path / "x.json") is None
