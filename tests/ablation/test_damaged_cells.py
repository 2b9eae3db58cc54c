"""Damage in an ablation's folder: that cell is made again, the rest stands, and nothing elsewhere is touched."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recipe.ablation.cells.store import kept_budgets, prepare
from recipe.ablation.study import Study
from recipe.base.errors import RecipeError
from tests.ablation.helpers import MadeUp, execute, made


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Return an ablation that has run."""
    one = made(tmp_path / "x", seeds=1)
    execute(one, MadeUp())
    return one


def _with(**changes: Any) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a list": lambda path: path.write_text("[]"),
    "nested": lambda path: path.write_text("[" * 200_000),
    "a pipe": _pipe,
    "a top-1 that is true": _with(top1=True),
    "a top-1 that is text": _with(top1="0.5"),
    "images below zero": _with(training_images=-1),
    "a memory that is not a number": _with(peak_memory_bytes=float("nan")),
    "a loss of 400 digits": _with(loss=10**400),
    "a precision of its own": _with(precision="fp8"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_cell_whose_summary_is_damaged_is_made_again(study: Study, name: str) -> None:
    before, (first, *_) = study.table(), study.tasks
    DAMAGE[name](first.run / "summary.json")
    assert first.cell().status == "missing"
    again = MadeUp()
    execute(study, again)
    assert again.ran == [first.name]
    assert study.table() == before


@pytest.mark.parametrize("content", ["[]", "5", '{"kind": "train", "epoch": "x"}', "[" * 200_000])
def test_damaged_metrics_cost_a_cell_only_its_times(study: Study, content: str) -> None:
    (study.tasks[0].run / "metrics.jsonl").write_text(f"{content}\n")
    (study.tasks[0].run / "environment.json").write_text(content)
    cell = study.tasks[0].cell()
    assert (cell.status, cell.seconds_per_epoch, cell.made_with) == ("finished", None, "")
    again = MadeUp()
    execute(study, again)
    assert again.ran == []


@pytest.mark.parametrize(
    "budgets", [[], {"a": {}}, {"a": {"seeds": True, "epochs": 1, "seconds": 1}}, {"a": {"seeds": 0, "epochs": 1}}]
)
def test_damaged_budgets_are_planned_again(study: Study, budgets: Any) -> None:
    sound = {"seeds": 2, "epochs": 3, "seconds": 9}
    path = study.folder / "ablation.json"
    path.write_text(json.dumps({"schema_version": 1, "budgets": {"a": sound}}))
    assert kept_budgets(study.folder)["a"].epochs == 3
    path.write_text(json.dumps({"schema_version": 1, "budgets": budgets}))
    assert kept_budgets(study.folder) == {}


def test_only_a_sound_mark_says_that_a_cell_diverged(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    first = study.tasks[0]
    execute(study, MadeUp({first.name: (3, "error[E112]: training diverged at step 4")}))
    assert first.cell().status == "diverged"
    first.file("diverged.json").write_text("[]")
    assert first.cell().status == "missing"


def test_files_elsewhere_and_of_others_are_left_alone(study: Study, tmp_path: Path) -> None:
    victim, (first, second, *_) = tmp_path / "victim", study.tasks
    victim.write_text("precious")
    first.file("log").unlink()
    first.file("log").symlink_to(victim)
    (first.run / "summary.json").unlink()
    (second.run / "checkpoints").mkdir(exist_ok=True)
    (second.run / "checkpoints" / "notes.txt").write_text("precious")
    (second.run / "checkpoints" / "step-000000001.pt").write_text("ours")
    execute(study, MadeUp())
    assert victim.read_text() == "precious"
    assert [path.name for path in (second.run / "checkpoints").iterdir()] == ["notes.txt"]


def test_a_cell_that_is_a_link_is_neither_written_nor_trimmed(study: Study, tmp_path: Path) -> None:
    victim, (first, *rest) = tmp_path / "victim", study.tasks
    first.run.rename(victim)
    first.run.symlink_to(victim)
    (victim / "checkpoints").mkdir(exist_ok=True)
    (victim / "checkpoints" / "step-000000001.pt").write_text("precious")
    (victim / "summary.json").write_text("[]")
    again = MadeUp()
    with pytest.raises(Exception, match=r"E126.*is reached through a symbolic link"):
        execute(study, again)
    assert again.ran == []
    assert sorted(path.name for path in victim.iterdir()) == [
        "checkpoints",
        "environment.json",
        "metrics.jsonl",
        "summary.json",
    ]
    assert (victim / "checkpoints" / "step-000000001.pt").read_text() == "precious"
    assert all(task.cell().status == "finished" for task in rest)


def test_cells_that_are_a_link_are_not_followed(study: Study, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    cells = study.tasks[0].folder
    cells.rename(tmp_path / "before")
    cells.symlink_to(elsewhere)
    with pytest.raises(RecipeError, match=r"E111.*is a symbolic link"):
        prepare(study.folder, cells, {})
    assert not [*elsewhere.iterdir()]
