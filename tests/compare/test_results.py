"""The results of two runs: side by side, and over the same held-out images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest
from scipy.stats import binom

import recipe
from recipe.compare.results import Paired, results_of
from recipe.runs.held_out import read_held_out
from recipe.runs.provenance import read_provenance, write_provenance
from tests.helpers import command
from tests.training.helpers import train


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return train(folder / "a").folder, train(folder / "b", "lr 0.001", "seed 1").folder


def test_two_runs_show_their_results_and_the_paired_comparison(folders: tuple[Path, Path]) -> None:
    results = recipe.diff(*folders).results
    assert results is not None
    for folder, side in zip(folders, (results.a, results.b), strict=True):
        summary = json.loads((folder / "summary.json").read_text())
        assert (side.status, side.epochs, side.top1, side.loss) == ("finished", 2, summary["top1"], summary["loss"])
        assert len(side.curve) == 2
        assert side.curve[-1] == (2, summary["top1"], summary["loss"])
    right = [held.logits.argmax(1) == held.label for held in map(read_held_out, folders)]
    paired = results.paired
    assert paired is not None
    assert (paired.images, paired.both) == (len(right[0]), int((right[0] & right[1]).sum()))
    assert (paired.only_a, paired.only_b) == (int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum()))
    assert paired.difference == pytest.approx(results.b.top1 - results.a.top1)
    assert paired.low <= paired.difference <= paired.high
    mirrored = recipe.diff(*folders).mirrored().results
    assert mirrored == recipe.diff(*reversed(folders)).results


def test_the_command_prints_them(folders: tuple[Path, Path], tmp_path: Path) -> None:
    done = command("diff", *folders, "--html", tmp_path / "page.html")
    assert done.status == 0
    assert "results\n  A: top-1 " in done.stdout
    assert "(exact McNemar test)" in " ".join(done.stdout.split())
    assert "held-out top-1; B is dashed" in (tmp_path / "page.html").read_text()
    assert json.loads(command("diff", *folders, "--json").stdout)["results"] == recipe.diff(*folders).results.to_dict()  # type: ignore[union-attr]


def test_the_same_recipe_with_another_result_says_so(folders: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(folders[0], tmp_path / "again")
    done = command("diff", folders[0], tmp_path / "again")
    assert "no differences: the two recipes are equivalent" in done.stdout
    assert "only A is right on 0, and only B on 0: +0.00 points" in " ".join(done.stdout.split())


@pytest.mark.parametrize(("only_a", "only_b"), [(2, 10), (0, 6), (5, 5), (0, 0)])
def test_the_p_value_is_that_of_the_exact_test(only_a: int, only_b: int) -> None:
    """The two-sided binomial test of the images on which the runs differ, by its definition."""
    odd = only_a + only_b
    expected = min(1.0, 2 * float(binom.cdf(min(only_a, only_b), odd, 0.5)))
    assert Paired.of(both=80, only_a=only_a, only_b=only_b, images=100).p == pytest.approx(expected)


def test_the_interval_covers() -> None:
    """95 % of intervals contain the true difference, to within the error of 2,000 samples."""
    draw = np.random.default_rng(0)
    chances = (0.05, 0.12, 0.7, 0.13)  # only A, only B, both, neither
    inside = 0
    for only_a, only_b, both, _ in draw.multinomial(300, chances, 2000).tolist():
        paired = Paired.of(both=both, only_a=only_a, only_b=only_b, images=300)
        inside += paired.low <= chances[1] - chances[0] <= paired.high
    assert 0.935 <= inside / 2000 <= 0.97


def test_other_images_are_not_compared_one_by_one(folders: tuple[Path, Path], tmp_path: Path) -> None:
    other = train(tmp_path / "other", "data fake size=32 classes=10 images=40").folder
    results = results_of(folders[0], other)
    assert results is not None
    assert results.paired is None
    assert results.unpaired == "the runs were evaluated on different images"


def test_the_same_images_with_other_labels_are_not_compared(folders: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(folders[1], tmp_path / "other")
    made = read_provenance(folders[1])
    assert made is not None
    held_out = attrs.evolve(made.data.held_out, labels="0" * 16)
    write_provenance(tmp_path / "other", attrs.evolve(made, data=attrs.evolve(made.data, held_out=held_out)))
    results = results_of(folders[0], tmp_path / "other")
    assert results is not None
    assert results.unpaired == "the images of the two runs have different labels"


def test_damaged_logits_are_reported(folders: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(folders[1], tmp_path / "damaged")
    (tmp_path / "damaged" / "evaluation.npz").write_bytes(b"")
    results = results_of(folders[0], tmp_path / "damaged")
    assert results is not None
    assert "evaluation.npz` does not have the digest" in results.unpaired


def test_recipes_and_runs_with_statements_have_no_results(folders: tuple[Path, Path]) -> None:
    assert recipe.diff(*folders, "lr 0.2").results is None
    assert recipe.diff(folders[0], "base resnet18").results is None
