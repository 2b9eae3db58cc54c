"""A screening's best combination under new seeds, and at full length after a shorter screening."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import pytest

from recipe.ablation import confirming, final
from recipe.ablation.cells.execute import Unfinished, Watcher
from recipe.ablation.cells.launchers import Handle
from recipe.ablation.cells.store import Task
from recipe.ablation.final import Outcome
from recipe.ablation.report.screening import Screening
from recipe.ablation.study import Study
from recipe.base.errors import RecipeError, fail
from recipe.compiler.program import Program
from tests.ablation.helpers import TEXT, MadeUp, study
from tests.helpers import vocabulary
from tests.inference.helpers import paint

GAINS = {"tweak D": 0.05, "loss smooth": -0.03, "lr cosine": 0.02}


@attrs.define
class Known(MadeUp):
    """A launcher with known effects of the tricks, and little noise. Longer runs gain twice as much."""

    def __call__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Handle:
        handle = super().__call__(command, log, environment)
        if handle.poll() != 0:
            return handle
        folder = Path(command[command.index("--resume") + 1])
        text = Path(command[command.index("run") + 1]).read_text()
        gain = sum(size for trick, size in GAINS.items() if re.search(rf"^ *{trick}\b", text, re.M))
        noise = np.random.default_rng(int(folder.name, 16)).normal()
        self.write(folder, 0.5 + gain * (1 if re.search(r"epochs count=1$", text, re.M) else 2) + 0.001 * noise)
        return handle


@attrs.define
class Noted(Watcher):
    """A watcher that keeps the notes."""

    notes: list[str] = attrs.field(factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)


def screening(out: Path, **options: object) -> Study:
    return study(TEXT, mode="screen", out=out, plugins=vocabulary(), **options)


def run(out: Path, launcher: MadeUp | None = None, **options: object) -> Screening:
    table = screening(out, **options).run(launcher=launcher or Known())
    assert isinstance(table, Screening)
    return table


def test_the_best_combination_is_trained_under_new_seeds(tmp_path: Path) -> None:
    launcher, made = Known(), screening(tmp_path / "out", confirm=True)
    assert made.confirming is not None
    assert made.confirming.runs == 6
    table = made.run(launcher=launcher)
    assert isinstance(table, Screening)
    found = table.confirmation
    assert found is not None
    assert [line.label for line in found.lines] == ["none", "lr cosine, tweak D"]
    assert [[cell.seed for cell in line.cells] for line in found.lines] == [[2, 3, 4]] * 2
    assert len(launcher.ran) == 8 * 2 + 2 * 3
    assert found.predicted == pytest.approx((0.5, 0.64), abs=0.003)
    measured = [np.mean(line.results) for line in found.lines]
    assert found.gain is not None
    assert found.gain.mean == pytest.approx(measured[1] - measured[0])
    assert found.gain.single is not None
    assert found.is_confirmed
    text = table.to_text()
    assert "Measured with new seeds (2, 3, 4): +14." in text
    assert " points (+13." in text
    assert f"Top-1 {100 * measured[1]:.2f} ± " in text
    again = Known()
    assert run(tmp_path / "out", again, confirm=True) == table
    assert again.ran == []


def test_the_noise_of_the_screening_counts_for_the_confirmation(tmp_path: Path) -> None:
    found = run(tmp_path / "out", confirm=True).confirmation
    assert found is not None
    assert found.gain is not None
    assert found.gain.single is not None
    alone = attrs.evolve(found, screened=()).gain
    assert alone is not None
    assert alone.mean == pytest.approx(found.gain.mean)
    assert alone.single is not None
    assert alone.single != found.gain.single


def test_runs_that_a_confirmation_lacks_are_named(tmp_path: Path) -> None:
    made = screening(tmp_path / "out", confirm=True)
    table = made.run(launcher=Known())
    assert isinstance(table, Screening)
    assert made.confirming is not None
    again = made.confirming.tasks(table)
    best = [task for task in again if task.label != "confirm none"]
    for task in again:
        shutil.rmtree(task.run)
    with pytest.raises(Unfinished) as caught:
        made.run(launcher=Known({best[1].name: (1, "broken")}))
    shown = caught.value.table
    assert shown is not None
    assert "Measured with new seeds (2, 3, 4): +14." in shown.to_text()
    assert "2 of 3 runs of `lr cosine, tweak D` missing so far." in shown.notes()
    text = made.run(launcher=Known({task.name: (3, "diverged") for task in best[1:]})).to_text()
    assert "2 of 3 runs of `lr cosine, tweak D` diverged." in text
    shutil.rmtree(best[0].run)
    text = made.run(launcher=Known({best[0].name: (3, "diverged")})).to_text()
    assert "The gain of the best combination has not been measured with new seeds (2, 3, 4)." in text
    assert "3 of 3 runs of `lr cosine, tweak D` diverged." in text
    assert "missing" not in text


def test_a_gain_that_the_new_seeds_do_not_show_is_said(tmp_path: Path) -> None:
    table = run(tmp_path / "out", confirm=True)
    assert table.confirmation is not None
    none, best = table.confirmation.lines
    cells = tuple(attrs.evolve(cell, top1=(cell.top1 or 0) - 0.1) for cell in best.cells)
    lower = attrs.evolve(table.confirmation, lines=(none, attrs.evolve(best, cells=cells)))
    shown = attrs.evolve(table, confirmation=lower)
    assert not lower.is_confirmed
    assert "The two gains differ by more than their noise explains." in shown.to_text()


def test_a_short_screening_is_confirmed_at_full_length(tmp_path: Path) -> None:
    made, launcher = screening(tmp_path / "out", short="epochs 1"), Known()
    assert made.epochs == "1 epoch"
    assert made.confirming is not None
    assert made.confirming.runs == 12
    table = made.run(launcher=launcher)
    assert isinstance(table, Screening)
    found = table.confirmation
    assert found is not None
    assert len(found.lines) == 4
    assert found.screened == ()
    texts = [path.read_text() for path in (tmp_path / "out" / "cells").rglob("*.recipe")]
    assert sum(bool(re.search(r"epochs count=1$", text, re.M)) for text in texts) == 16
    assert sum(bool(re.search(r"epochs count=2$", text, re.M)) for text in texts) == 12
    assert found.rank_correlation == pytest.approx(1.0)
    assert found.gain is not None
    assert found.gain.mean == pytest.approx(0.14, abs=0.003)
    assert table.best is not None
    assert table.best.gain.mean == pytest.approx(0.07, abs=0.003)
    text = table.to_text()
    assert "The confirmation is without `epochs 1`, which only the screening has." in text
    assert "Their rank correlation is 1.00." in text
    assert "1 epoch, batch 8." in text


def test_tricks_that_the_short_runs_restate_keep_their_places(tmp_path: Path) -> None:
    table = run(tmp_path / "out", short="epochs 1; lr 0.1 cosine")
    assert [unit.label for unit in table.units] == ["tweak D", "loss smooth", "lr cosine"], "the restated one is last"
    found = table.confirmation
    assert found is not None
    assert found.lines[1].label == "tweak D, lr cosine"
    assert found.rank_correlation == pytest.approx(1.0)
    assert found.gain is not None
    assert found.gain.mean == pytest.approx(0.14, abs=0.003)


def test_equal_results_have_no_rank_correlation(tmp_path: Path) -> None:
    found = run(tmp_path / "out", short="epochs 1").confirmation
    assert found is not None
    alike = [attrs.evolve(line, cells=[attrs.evolve(cell, top1=0.5) for cell in line.cells]) for line in found.lines]
    assert attrs.evolve(found, lines=alike).rank_correlation is None


@pytest.fixture
def evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that are evaluated on test images. Ablations have some, of which runs get three right."""
    for part, count in (("train", 8), ("val", 4), ("test", 6)):
        for label, name in enumerate(("blue", "red")):
            paint(tmp_path / "photos" / part / name, name, count, label)
    monkeypatch.setattr(
        sys.modules[__name__],
        "TEXT",
        TEXT.replace("data fake size=32 classes=10 images=48", f'data folder "{tmp_path / "photos"}" size=32'),
    )
    names = list[str]()

    def outcome(task: Task, device: str | None) -> Outcome:
        names.append(task.name)
        right = 3 + task.seed % 2
        return Outcome(final._weights(task), final._data(task), "x", "1" * right + "0" * (12 - right))

    monkeypatch.setattr(final, "_outcome", outcome)
    return names


@pytest.mark.parametrize("options", [{"confirm": True}, {"short": "epochs 1"}])
def test_the_test_images_are_for_the_confirmed_combination(
    options: Mapping[str, object], tmp_path: Path, evaluated: list[str]
) -> None:
    table = run(tmp_path / "out", **options)
    assert table.confirmation is not None
    assert table.report is not None
    assert table.report.chosen is not None
    best = [cell.name for line in table.confirmation.lines[:2] for cell in line.cells]
    assert sorted(evaluated) == sorted(best)
    chosen = table.report.chosen
    assert (table.report.subject, chosen.label, chosen.against) == ("combination", "lr cosine, tweak D", "none")
    assert (chosen.row, chosen.reference, chosen.seeds) == (1, 0, 3)
    assert chosen.top1 == pytest.approx((3 + 4 + 3) / 36)
    assert "On the 12 test images, the best combination, `lr cosine, tweak D`, has top-1" in table.answer
    again = run(tmp_path / "out", **options)
    assert again.to_json() == table.to_json()
    assert len(evaluated) == 6


def test_short_runs_are_not_evaluated_on_test_images(
    tmp_path: Path, evaluated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirming, "NEW_SEEDS", 1)
    for trick in GAINS:
        monkeypatch.setitem(GAINS, trick, -0.05)
    table = run(tmp_path / "out", short="epochs 1")
    assert table.confirmation is None
    assert (table.report, evaluated) == (None, [])
    whole = run(tmp_path / "other", confirm=True)
    assert whole.report is not None
    assert whole.report.subject == "row"


def test_nothing_is_evaluated_before_the_confirmation(tmp_path: Path, evaluated: list[str]) -> None:
    found = run(tmp_path / "other", confirm=True, test=False).confirmation
    assert found is not None
    with pytest.raises(Unfinished) as caught:
        run(tmp_path / "out", Known({found.lines[0].cells[0].name: (1, "broken")}), confirm=True)
    assert caught.value.table is not None
    assert "The test images are used once no run is missing." in caught.value.table.notes()
    assert evaluated == []


def test_a_combination_without_results_is_not_evaluated(tmp_path: Path, evaluated: list[str]) -> None:
    found = run(tmp_path / "other", confirm=True, test=False).confirmation
    assert found is not None
    lost = {cell.name: (3, "diverged") for cell in found.lines[1].cells}
    table = run(tmp_path / "out", Known(lost), confirm=True)
    assert "The test images were not used, because no run of the best combination has finished." in table.notes()
    assert (table.report, evaluated) == (None, [])


def test_the_confirmation_is_in_the_files(tmp_path: Path) -> None:
    table = run(tmp_path / "out", confirm=True)
    data = json.loads((tmp_path / "out" / "table.json").read_text())["confirmation"]
    assert data == json.loads(json.dumps(table.confirmation.to_dict()))  # type: ignore[union-attr]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "table.csv").read_text())))
    assert len(rows) == 8 * 2 + 2 * 3
    assert rows[-1]["label"] == "confirmation: lr cosine, tweak D"
    assert [rows[-1][trick] for trick in GAINS] == ["1", "0", "1"]


def test_there_is_nothing_to_confirm_if_no_trick_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GAINS, "tweak D", -0.05)
    monkeypatch.setitem(GAINS, "lr cosine", -0.05)
    watcher = Noted()
    table = screening(tmp_path / "out", confirm=True).run(watcher, Known())
    assert isinstance(table, Screening)
    assert table.confirmation is None
    assert watcher.notes == []
    assert "Best predicted combination: none of the tricks" in table.to_text()


def test_the_confirmation_is_checked_before_any_training(tmp_path: Path) -> None:
    short = "epochs 1; data fake size=32 classes=10 images=48"
    text = TEXT.replace("data fake size=32 classes=10 images=48", 'data folder "missing" size=32')
    with pytest.raises(RecipeError, match="missing` does not exist"):
        study(text, mode="screen", out=tmp_path / "out", plugins=vocabulary(), short=short)
    with pytest.raises(RecipeError, match="row `none`: `seed` takes a whole number"):
        study(TEXT, "seed 2147483645", mode="screen", out=tmp_path / "out", plugins=vocabulary(), confirm=True)


def test_a_combination_that_can_not_be_confirmed_leaves_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = screening(tmp_path / "out", confirm=True)

    def broken(_: object) -> list[Program]:
        raise fail("E102", "it doesn't compile")

    monkeypatch.setattr(confirming, "compile_rows", broken)
    with pytest.raises(RecipeError, match="it doesn't compile"):
        made.run(launcher=Known())
    data = json.loads((tmp_path / "out" / "table.json").read_text())
    assert data["best"]["tricks"] == ["lr cosine", "tweak D"]
    assert data["confirmation"] is None


@pytest.mark.parametrize(
    ("short", "said"),
    [
        ("epochs none", "epochs none"),
        ("epochs 1; augment erase", "`short` adds or drops `augment erase`, which is a"),
        ("epochs 1; drop loss smooth", "`short` adds or drops `loss smooth`, which is a"),
        ("epochs 1; loss smooth 0.4", "`short` changes `loss smooth`, which is a trick to study"),
        ("epochs 1; keep best", "`keep best` is not a trick to study"),
    ],
)
def test_statements_that_can_t_shorten_a_screening_are_refused(short: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said):
        screening(tmp_path / "out", short=short)


@pytest.mark.parametrize(
    ("short", "over", "word"),
    [
        ("epochs 1", ("epochs 3", "tweak D", "lr cosine"), "epochs"),
        ("epochs 1; batch 4", ("tweak D", "batch 16"), "batch"),
        ("epochs 1; drop loss smooth", ("tweak D", "loss smooth"), "loss smooth"),
        ("epochs 1; ema 0.5", ("tweak D", "ema 0.9"), "ema"),
    ],
)
def test_short_runs_have_the_studied_tricks_as_they_are(
    short: str, over: Sequence[str], word: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=f"`short` changes `{word}`, which is a trick to study"):
        screening(tmp_path / "out", short=short, over=over)
