"""`--holdout`: the table and its report are of different held-out images, and every image keeps its part."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

import attrs
import numpy as np
import pytest
from scipy import stats

import recipe
from recipe.ablation.cells import launchers
from recipe.ablation.cells.execute import Unfinished
from recipe.ablation.holdout import check_holdout, is_kept_back
from recipe.ablation.report.chosen import Report, results_on
from recipe.ablation.study import Study
from recipe.base import files
from recipe.base.errors import RecipeError
from recipe.data.splits import position
from recipe.runs.held_out import HeldOut, read_held_out, write_held_out
from recipe.runs.reader import read_summary
from tests.ablation.helpers import MadeUp, execute, made
from tests.ablation.test_table import line
from tests.damage.folders import here
from tests.docs.schemas import validate
from tests.helpers import command
from tests.inference.helpers import paint

IMAGES = 200
SHARE = 0.25
REAL = "base timm:test_resnet; data fake size=32 classes=10 images=1280; batch 160; epochs 1; lr 0.01; loss smooth"


def outputs(name: str, images: int = IMAGES, paths: bool = True, skill: float = 1.0) -> HeldOut:
    """Return made-up outputs for some images, others for each name, which are right more often with more skill."""
    draws = np.random.default_rng([*name.encode()])
    path = tuple(f"{at % 10}/{at}.png" for at in range(images)) if paths else None
    logits = draws.normal(size=(images, 10)).astype(np.float32)
    label = np.arange(images) % 10
    logits[np.arange(images), label] += skill + draws.uniform(0, 0.5)
    return HeldOut(np.arange(images), label, logits, path)


@attrs.define
class Recorded(MadeUp):
    """A launcher whose runs record their outputs for some images, with or without paths."""

    paths: bool = True
    best: frozenset[str] = frozenset()
    """The digests of runs that are better than all others."""

    def outputs(self, digest: str) -> HeldOut:
        return outputs(digest, IMAGES, self.paths, 2.0 if digest in self.best else 1.0)

    def write(self, folder: Path, result: float, precision: str = "fp32") -> None:  # type: ignore[override]
        MadeUp.write(folder, result, precision)
        held_out = self.outputs(folder.name)
        summary = read_summary(folder) | {"evaluation_sha256": write_held_out(folder, held_out)}
        files.write_json(folder / "summary.json", {**summary, "top1": float(held_out.correct.mean())})


def ablation(out: Path, mode: str = "stack", seeds: int = 3, over: Sequence[str] = (), share: float = SHARE) -> Study:
    data = f"data fake size=32 classes=10 images={8 * IMAGES}"  # of which an eighth is held out
    study = made(out, data, mode=mode, seeds=seeds, over=over)
    return attrs.evolve(study, request=attrs.evolve(study.request, holdout=share))


@pytest.mark.parametrize("paths", [True, False])
def test_the_table_is_of_the_larger_part_and_the_report_of_the_smaller(paths: bool, tmp_path: Path) -> None:
    study = ablation(tmp_path / "x")
    launcher = Recorded(paths=paths, best=frozenset(task.plan.digest for task in study.cells[2]))
    shown = study.run(launcher=launcher)
    runs = [[launcher.outputs(task.plan.digest) for task in row] for row in study.cells]
    back = is_kept_back(runs[0][0], SHARE)
    for row, each in zip(shown.lines, runs, strict=True):
        assert row.results == [float((one.logits.argmax(1) == one.label)[~back].mean()) for one in each]
        assert [cell.loss for cell in row.cells] == [float(one.losses[~back].mean()) for one in each]
    assert {len(each) for each in shown.correct.values()} == {IMAGES - back.sum()}
    assert shown.curves == {}, "they are of all images"
    report = shown.report
    assert report is not None
    assert (report.part, report.share, report.chosen_by) == ("held-out", SHARE, IMAGES - back.sum())
    chosen = report.chosen
    assert chosen is not None
    assert max(shown.lines, key=lambda row: row.mean or 0) is shown.lines[2]
    assert (chosen.row, chosen.reference) == (2, 1)
    top1 = [[float(one.correct[back].mean()) for one in each] for each in runs]
    assert (chosen.top1, chosen.deviation) == (fmean(top1[2]), stdev(top1[2]))
    assert chosen.difference is not None
    assert chosen.difference.mean == pytest.approx(fmean(top1[2]) - fmean(top1[1]))
    by_image = np.mean([one.correct[back] for one in runs[2]], 0)
    assert chosen.images == pytest.approx(1.959964 * stats.sem(by_image), rel=1e-5)
    said = f"On the {back.sum()} held-out images kept back, the best row, `{chosen.label}`, has top-1 "
    assert f"{said}{100 * chosen.top1:.2f}, " in shown.answer
    said = f"The table and the choice of the best row use {IMAGES - back.sum()} of {IMAGES} held-out images."
    assert any(note.startswith(said) for note in shown.notes())
    assert said in shown.to_html()
    validate("table", json.loads(shown.to_json()))
    assert json.loads((tmp_path / "x" / "table.json").read_text())["holdout"]["chosen"]["top1"] == chosen.top1


def test_a_difference_of_two_rows_has_the_interval_of_a_paired_t_test() -> None:
    draws = np.random.default_rng(0)
    rows = (line("baseline", [0.5] * 3), line("+ x", [0.5] * 3, 0))
    correct = {cell.name: draws.random(100) < 0.7 for row in rows for cell in row.cells}
    found = results_on(rows, correct, 1, 0).difference
    assert found is not None
    assert found.interval is not None
    base, other = ([correct[cell.name].mean() for cell in row.cells] for row in rows)
    expected = stats.ttest_rel(other, base).confidence_interval(0.95)
    assert [found.interval.low, found.interval.high] == pytest.approx([expected.low, expected.high])


def test_a_row_that_needed_fewer_seeds_lacks_none() -> None:
    row = line("baseline", [0.5] * 3)
    row = attrs.evolve(row, cells=(*row.cells[:2], attrs.evolve(row.cells[2], status="left", top1=None)))
    correct = {cell.name: np.arange(100) < 70 for cell in row.cells[:2]}
    report = Report("held-out", chosen=results_on([row], correct, 0, None))
    assert report.notes([row])[0].startswith(
        "The top-1 of the best row on the images kept back is a mean over 2 seeds,"
    )


def test_an_image_never_changes_its_part() -> None:
    few, many = outputs("a", 100), outputs("b", 1_000)
    assert (is_kept_back(few, 0.2) == is_kept_back(many, 0.2)[:100]).all(), "whatever the outputs and other images are"
    less, more = is_kept_back(many, 0.1), is_kept_back(many, 0.4)
    assert not (less & ~more).any()
    at = np.random.default_rng(0).permutation(1_000)
    assert many.path is not None
    mixed = HeldOut(many.index, many.label[at], many.logits[at], tuple(many.path[n] for n in at.tolist()))
    assert (is_kept_back(mixed, 0.2) == is_kept_back(many, 0.2)[at]).all()


def test_the_part_is_independent_of_the_one_in_the_dataset() -> None:
    held_out = outputs("a", 4_000)
    assert held_out.path is not None
    positions = np.array([position(0, *path.split("/")) for path in held_out.path])
    back = is_kept_back(held_out, 0.2)
    for part in (positions < 0.2, positions >= 0.2):
        assert stats.binomtest(int(back[part].sum()), int(part.sum()), 0.2).pvalue > 0.001


def test_of_equally_good_rows_the_first_is_chosen(tmp_path: Path) -> None:
    study = ablation(tmp_path / "x", "add", over=("tweak B", "loss smooth"))
    study = attrs.evolve(study, cells=(study.cells[1], study.cells[1], study.cells[1]))
    report = study.run(launcher=Recorded()).report
    assert report is not None
    assert report.chosen is not None
    assert (report.chosen.row, report.chosen.reference, report.chosen.difference) == (0, None, None)


def test_a_screening_reports_the_best_of_the_tried_combinations(tmp_path: Path) -> None:
    study = ablation(tmp_path / "x", "screen", 2, over=("tweak B", "loss smooth", "lr cosine"))
    shown = study.run(launcher=Recorded(best=frozenset(task.plan.digest for task in study.cells[3])))
    assert shown.report is not None
    chosen = shown.report.chosen
    assert chosen is not None
    assert (chosen.row, chosen.label, chosen.against) == (3, shown.lines[3].label, "1: none")
    assert chosen.difference is not None
    assert shown.report.sentence in shown.answer
    validate("table", json.loads(shown.to_json()))


def test_nothing_is_reported_while_runs_are_missing(tmp_path: Path) -> None:
    study = ablation(tmp_path / "x")
    assert study.table().report is not None
    with pytest.raises(Unfinished) as caught:
        study.run(launcher=Recorded({study.tasks[-1].name: (1, "broken")}))
    shown = caught.value.table
    assert shown is not None
    assert shown.report is not None
    assert shown.report.chosen is None
    assert shown.lines[0].mean != fmean(outputs(task.plan.digest).correct.mean() for task in study.cells[0])
    assert any("kept back to report on that row once no run is missing." in note for note in shown.notes())
    launcher = Recorded()
    report = study.run(launcher=launcher).report
    assert launcher.ran == [study.tasks[-1].name]
    assert report is not None
    assert report.chosen is not None


def test_diverged_runs_are_left_out_and_named(tmp_path: Path) -> None:
    first = ablation(tmp_path / "x", over=("loss smooth",)).run(launcher=Recorded())
    assert first.report is not None
    assert first.report.chosen is not None
    best = first.report.chosen.row
    worst = min(first.lines[best].cells, key=lambda cell: cell.top1 or 0)
    again = ablation(tmp_path / "y", over=("loss smooth",))
    shown = again.run(launcher=Recorded({worst.name: (3, "diverged")}))
    assert shown.report is not None
    assert shown.report.chosen is not None
    assert (shown.report.chosen.row, shown.report.chosen.seeds) == (best, 2)
    assert any("is a mean over 2 of 3 seeds" in note for note in shown.notes())
    nothing = ablation(tmp_path / "z", over=("loss smooth",), seeds=1)
    shown = nothing.run(launcher=Recorded({task.name: (3, "diverged") for task in nothing.tasks}))
    assert shown.report is not None
    assert shown.report.chosen is None


def test_what_has_no_results_per_image_is_an_error(tmp_path: Path) -> None:
    study = ablation(tmp_path / "x", seeds=1)
    execute(study, Recorded())
    task = study.tasks[0]
    (task.run / "evaluation.npz").unlink()
    with pytest.raises(RecipeError, match=r"E124.*needs the results of `baseline`, seed 0, for each image, but"):
        study.table()
    summary = read_summary(task.run) | {"evaluation_sha256": write_held_out(task.run, outputs("other", 190))}
    files.write_json(task.run / "summary.json", summary)
    with pytest.raises(RecipeError, match=r"E124.*`baseline`, seed 0, and `\+ .*, are evaluated on different images"):
        study.table()
    del summary["evaluation_sha256"]
    files.write_json(task.run / "summary.json", summary)
    with pytest.raises(RecipeError, match=r"E124.*did not record its evaluation"):
        check_holdout(SHARE, study.tasks)


def test_too_few_images_are_an_error(tmp_path: Path) -> None:
    study = ablation(tmp_path / "x", seeds=1, share=0.05)
    execute(study, Recorded())
    with pytest.raises(RecipeError, match=r"E124.*would keep back \d+ of 200 held-out images; 20 are the fewest"):
        study.table()
    few = REAL.replace("images=1280", "images=480")
    with pytest.raises(RecipeError, match=r"E124.*would keep back about 12 of 60 held-out images"):
        recipe.ablate(few, mode="add", out=tmp_path / "y", holdout="20%")
    assert not (tmp_path / "y").exists(), "before any training"


def test_rows_with_other_images_are_an_error_before_any_training(tmp_path: Path) -> None:
    over = ["loss smooth", "data fake size=32 classes=10 images=1600"]
    with pytest.raises(
        RecipeError, match=r"E124.*`baseline`, seed 0, and `\+ data .*, are evaluated on different images"
    ):
        recipe.ablate(REAL, mode="add", over=over, out=tmp_path / "x", holdout="20%")
    assert not (tmp_path / "x").exists()


def test_a_recipe_with_test_images_is_an_error(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("val", 40), ("test", 2)):
        for name in ("blue", "red"):
            paint(tmp_path / "photos" / part / name, name, count, 0)
    text = REAL.replace("data fake size=32 classes=10 images=1280", f'data folder "{tmp_path / "photos"}" size=32')
    with pytest.raises(RecipeError, match=r"E124.*`baseline` has images for a test already"):
        recipe.ablate(text, mode="add", out=tmp_path / "x", holdout="50%")
    shutil.rmtree(tmp_path / "photos" / "test")
    with pytest.raises(RecipeError, match=r"E124.*would keep back about 16 of 80 held-out images"):
        recipe.ablate(text, mode="add", out=tmp_path / "x", holdout="20%")


def test_a_finished_ablation_takes_a_holdout_without_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "here", here)
    words = ("ablate", REAL, "--mode", "add", "--seeds", "2", "--out", tmp_path / "x", "--device", "cpu")
    words = (*words, "--format", "json")
    plain = command(*words)
    assert plain.status == 0, plain.stderr
    assert json.loads(plain.stdout)["holdout"] is None
    monkeypatch.setattr(launchers, "here", None)
    found = command(*words, "--holdout", "25%")
    assert found.status == 0, found.stderr
    data = json.loads(found.stdout)
    validate("table", data)
    assert data["holdout"]["chosen_by"] + data["holdout"]["reported_on"] == 160
    runs = [read_held_out(tmp_path / "x" / "cells" / cell["name"]) for cell in data["rows"][0]["cells"]]
    back = is_kept_back(runs[0], 0.25)
    assert [cell["top1"] for cell in data["rows"][0]["cells"]] == [float(one.correct[~back].mean()) for one in runs]
    table = recipe.ablate(REAL, mode="add", seeds=2, out=tmp_path / "x", device="cpu", holdout=0.25)
    assert table.to_dict() == data
    wrong = command(*words, "--holdout", "60%")
    assert (wrong.status, "error[E124]: `--holdout` is a share from 1% to 50%" in wrong.stderr) == (2, True)
