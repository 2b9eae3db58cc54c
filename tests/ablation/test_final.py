"""The report on the test images: the best row is evaluated on them once, after all runs have finished."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from statistics import fmean
from typing import Any

import attrs
import pytest

import recipe
from recipe.ablation import final
from recipe.ablation.cells import launchers
from recipe.ablation.cells.execute import Unfinished
from recipe.ablation.final import FILE, kept_results
from recipe.ablation.report.table import Table
from recipe.ablation.study import Study
from recipe.base.errors import RecipeError
from recipe.base.signals import Interrupted
from tests.ablation.helpers import MadeUp, study
from tests.damage.folders import here
from tests.docs.schemas import validate
from tests.helpers import command, vocabulary
from tests.inference.helpers import paint

TEXT = 'base timm:test_resnet; data folder "{}" size=32 workers=0; batch 8; epochs 1; lr 0.01; loss smooth'
OVER = ("loss smooth", "tweak blurpool")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for part, count in (("train", 8), ("val", 4), ("test", 6)):
        for label, name in enumerate(("blue", "red")):
            paint(folder / part / name, name, count, label)
    return folder


def prepared(photos: Path, out: Path, **options: Any) -> Study:
    text, on = TEXT.format(photos), launchers.Workers("cpu")
    return study(text, mode="add", over=OVER, seeds=2, out=out, plugins=vocabulary(), workers=on, **options)


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished ablation that has not been evaluated on the test images."""
    out = tmp_path_factory.mktemp("whole") / "x"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launchers, "here", here)
        shown = prepared(photos, out, test=False).run()
    assert shown.report is None
    assert not (out / FILE).exists()
    return out


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "x"))


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of the runs that are evaluated. The second row is the best."""
    opened, load = list[Path](), final.load

    def noted(folder: Path, **options: Any) -> recipe.Run:
        opened.append(folder)
        return load(folder, **options)

    monkeypatch.setattr(final, "load", noted)
    monkeypatch.setattr(final, "best_row", lambda lines: 1)
    return opened


def top1_of(study: Study, row: int) -> list[float]:
    return [recipe.load(task.run, device="cpu").evaluate(on="test").top1 for task in study.cells[row]]


def test_the_best_row_is_evaluated_once(photos: Path, folder: Path, loaded: list[Path]) -> None:
    study = prepared(photos, folder)
    shown = study.run()
    assert {*loaded} == {task.run for row in study.cells[:2] for task in row}, "and the row that it is compared with"
    assert shown.report is not None
    assert (shown.report.part, shown.report.chosen_by, shown.report.reported_on) == ("test", 8, 12)
    chosen = shown.report.chosen
    assert chosen is not None
    assert (chosen.label, chosen.against, chosen.seeds, shown.report.looks) == ("+ loss smooth", "baseline", 2, 1)
    base, other = (top1_of(study, row) for row in (0, 1))
    assert chosen.top1 == fmean(other)
    assert chosen.difference is not None
    assert chosen.difference.mean == pytest.approx(fmean(other) - fmean(base))
    assert f"On the 12 test images, the best row, `+ loss smooth`, has top-1 {100 * chosen.top1:.2f}" in shown.answer
    assert "This is the first report on the test images in this folder." in shown.notes()
    validate("table", json.loads(shown.to_json()))
    before = (folder / FILE).read_bytes()
    loaded.clear()
    assert prepared(photos, folder).run().to_json() == shown.to_json()
    assert (loaded, (folder / FILE).read_bytes()) == ([], before)


def test_another_best_row_is_another_report(
    photos: Path, folder: Path, loaded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = prepared(photos, folder)
    study.run()
    loaded.clear()
    monkeypatch.setattr(final, "best_row", lambda lines: 2)
    shown = study.run()
    assert {*loaded} == {task.run for task in study.cells[2]}, "the baseline has been evaluated"
    assert shown.report is not None
    assert shown.report.looks == 2
    assert shown.report.chosen is not None
    assert shown.report.chosen.top1 == fmean(top1_of(study, 2))
    assert any(note.startswith("This folder has had 2 reports on the test images") for note in shown.notes())
    monkeypatch.setattr(final, "best_row", lambda lines: 0)
    loaded.clear()
    shown = study.run()
    assert loaded == []
    assert shown.report is not None
    assert shown.report.looks == 3, "nothing is evaluated, but it is a choice"


def test_other_test_images_are_another_report(photos: Path, folder: Path, loaded: list[Path], tmp_path: Path) -> None:
    prepared(photos, folder).run()
    loaded.clear()
    moved = Path(shutil.copytree(photos, tmp_path / "photos"))
    paint(moved / "test" / "red", "blue", 1, 9)
    now = [[task.data for task in row] for row in prepared(moved, tmp_path / "y").cells]
    study = prepared(photos, folder)
    cells = (
        tuple(attrs.evolve(task, data=data) for task, data in zip(*each, strict=True))
        for each in zip(study.cells, now, strict=True)
    )
    shown = attrs.evolve(study, cells=tuple(cells)).run()
    assert {task.cell().status for task in study.tasks} == {"finished"}, "nothing is trained again"
    assert len(loaded) == 4
    assert shown.report is not None
    assert shown.report.looks == 2


def test_an_interrupted_evaluation_leaves_no_results(
    photos: Path, folder: Path, loaded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "table.json").unlink()
    noted = final.load

    def stopped(run: Path, **options: Any) -> recipe.Run:
        if len(loaded) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return noted(run, **options)

    monkeypatch.setattr(final, "load", stopped)
    with pytest.raises(Interrupted, match=r"stopped by SIGTERM; call `recipe.ablate` again to resume the ablation in"):
        prepared(photos, folder).run()
    assert len(loaded) == 2
    assert not (folder / FILE).exists()
    assert json.loads((folder / "table.json").read_text())["holdout"] is None
    monkeypatch.setattr(final, "load", noted)
    shown = prepared(photos, folder).run()
    assert shown.report is not None
    assert shown.report.looks == 1


def test_damaged_results_are_an_error_before_any_training(photos: Path, folder: Path, loaded: list[Path]) -> None:
    prepared(photos, folder).run()
    assert kept_results(folder) is not None
    (folder / FILE).write_text((folder / FILE).read_text().replace('"correct": "', '"correct": "0', 1))
    study = prepared(photos, folder)
    shutil.rmtree(study.cells[0][0].run)
    with pytest.raises(RecipeError, match=r"E120.*test.json` has been changed since it was written"):
        study.run()
    assert not study.cells[0][0].run.exists()


def test_what_can_not_be_evaluated_is_named(photos: Path, folder: Path, loaded: list[Path]) -> None:
    study = prepared(photos, folder)
    (study.cells[0][0].run / "model.safetensors").unlink()
    shown = study.run()
    assert shown.report is None
    said = "The best row has not been evaluated on the test images: `"
    assert any(note.startswith(said) and "model.safetensors` can't be read" in note for note in shown.notes())
    assert not (folder / FILE).exists()


def test_nothing_is_evaluated_while_runs_are_missing(photos: Path, tmp_path: Path, loaded: list[Path]) -> None:
    study = prepared(photos, tmp_path / "x")
    said = "The test images are used once no run is missing."
    with pytest.raises(Unfinished) as caught:
        study.run(launcher=MadeUp({study.tasks[-1].name: (1, "broken")}))
    assert isinstance(caught.value.table, Table)
    assert said in caught.value.table.notes()
    shown = study.run(launcher=MadeUp({study.tasks[-1].name: (3, "diverged")}))
    assert said not in shown.notes()
    assert [path for path in loaded if not path.exists()] == []


def test_the_command_evaluates_the_best_row_unless_told_otherwise(photos: Path, folder: Path) -> None:
    words = ("ablate", TEXT.format(photos), "--mode", "add", "--seeds", "2", "--out", folder, "--device", "cpu")
    words = (*words, "--over", *OVER, "--format", "json")
    skipped = command(*words, "--skip-test")
    assert skipped.status == 0, skipped.stderr
    assert json.loads(skipped.stdout)["holdout"] is None
    found = command(*words)
    assert "evaluating " in found.stderr
    assert " on the test images, for the best row: " in found.stderr
    data = json.loads(found.stdout)["holdout"]
    means = [row["top1_mean"] for row in json.loads(found.stdout)["rows"]]
    assert data["chosen"]["row"] == means.index(max(means))
    again = command(*words)
    assert "evaluating" not in again.stderr
    assert again.stdout == found.stdout
