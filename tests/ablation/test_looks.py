"""Ablations with `until`: which rows get more seeds, what looks cost, and that interruptions change nothing."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import pytest

from recipe.ablation.cells.execute import Unfinished
from recipe.ablation.cells.launchers import Handle
from recipe.ablation.statistics.analysis import Analysis
from recipe.ablation.statistics.looks import Look, Until
from recipe.ablation.statistics.results import Cell, Contrast, Line
from recipe.ablation.study import Study
from recipe.base.errors import RecipeError
from recipe.base.signals import Interrupted
from tests.ablation.helpers import TEXT, MadeUp, study
from tests.helpers import command, vocabulary

ROWS = 5


@attrs.define
class Noisy(MadeUp):
    """A launcher whose runs differ by half a point, and which may interrupt the ablation."""

    stop_after: int | None = None
    """The number of runs after which it is interrupted."""

    def __call__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Handle:
        handle = super().__call__(command, log, environment)
        if handle.poll() != 0:
            return handle
        folder = Path(command[command.index("--resume") + 1])
        self.write(folder, 0.8 + 0.005 * np.random.default_rng(int(folder.name, 16)).normal())
        if len(self.ran) == self.stop_after:
            os.kill(os.getpid(), signal.SIGINT)
        return handle


def made_up(out: Path, mode: str, **options: float) -> Study:
    return study(TEXT, mode=mode, out=out, plugins=vocabulary(), **options)


def analysis(values: np.ndarray, look: Look, against: str = "above") -> Analysis:
    """Return the analysis of made-up results at a look: each row compared with the one above, or with the first."""
    lines = []
    for at, (row, count) in enumerate(zip(values, look.seeds, strict=True)):
        cells = [Cell(f"{at}/{seed}", seed, "finished", float(top1)) for seed, top1 in enumerate(row[:count])]
        cells += [Cell(f"{at}/{seed}", seed, "left") for seed in range(count, max(look.seeds))]
        lines.append(Line(f"row {at}", None, (), 1, 1, tuple(cells)))
    unit = np.eye(len(values))
    contrasts = (
        Contrast(f"row {at}", tuple((unit[at] - unit[at - 1 if against == "above" else 0]).tolist()))
        for at in range(1, len(values))
    )
    return Analysis(tuple(lines), tuple(contrasts), {}, look.confidence)


def looks(values: np.ndarray, until: Until, *, removed: bool = False, against: str = "above") -> list[Look]:
    found = [until.begin(len(values))]
    while following := found[-1].after(analysis(values, found[-1], against), removed):
        found.append(following)
    return found


def noise(seed: int = 0, rows: int = ROWS, seeds: int = 60, size: float = 0.005) -> np.ndarray:
    return 0.8 + np.random.default_rng(seed).normal(0, size, (rows, seeds))


def test_the_looks_share_the_error() -> None:
    until = Until(0.001, 3, 1000)
    parts = [1 - until.look(number, (3,), is_last=False).confidence for number in range(1, 30)]
    assert parts[:4] == pytest.approx([0.0125, 0.025, 0.00625, 0.003125])
    assert sum(parts) == pytest.approx(0.05)
    for number in range(1, 10):
        last = 1 - until.look(number, (3,), is_last=True).confidence
        assert sum(parts[: number - 1]) + last == pytest.approx(0.05), "the last look takes what is left"


def test_seeds_are_added_until_all_intervals_are_narrow_enough() -> None:
    until = Until(0.004, 3, 60)
    values = noise() + 0.02 * np.arange(ROWS)[:, None]
    found = looks(values, until)
    assert found[0].seeds == (3,) * ROWS
    assert all(max(after.seeds) > max(before.seeds) for before, after in itertools.pairwise(found))
    assert not found[-1].is_last
    assert len(found) <= 4
    estimates = analysis(values, found[-1]).estimates
    assert all(each is not None and each.interval is not None and each.interval.half <= 0.004 for each in estimates)


def test_a_trick_that_can_t_gain_enough_gets_no_more_seeds() -> None:
    values = noise(1)
    values[3:] -= 0.05  # the third trick hurts
    found = looks(values, Until(0.004, 3, 60), against="first")
    assert found[-1].seeds[3] == 3
    assert found[-1].seeds[4] == 3
    assert min(found[-1].seeds[:3]) > 3
    values[3:] += 0.1  # it helps
    assert min(looks(values, Until(0.004, 3, 60), against="first")[-1].seeds) > 3
    removed = looks(values, Until(0.004, 3, 60), removed=True, against="first")
    assert removed[-1].seeds[3] == 3, "without it, the recipe is better"


def test_rows_that_are_noisier_get_more_seeds() -> None:
    values = noise(2, rows=8)
    values[7] += np.random.default_rng(3).normal(0, 0.02, values.shape[1])
    seeds = looks(values, Until(0.012, 5, 60))[-1].seeds
    assert seeds[7] > seeds[0]


def test_no_more_seeds_than_allowed() -> None:
    found = looks(noise(), Until(0.0001, 3, 8))
    assert [each.seeds[0] for each in found] == [3, 8]
    assert found[-1].is_last
    assert found[-1].confidence == pytest.approx(1 - 0.05 * 0.75)
    only = Until(0.0001, 3, 2).begin(ROWS)
    assert (only.seeds, only.is_last, only.confidence) == ((2,) * ROWS, True, pytest.approx(0.95))


def test_no_look_sees_the_same_results_as_the_one_before() -> None:
    found = looks(noise(51), Until(0.006, 3, 8))
    assert [each.seeds for each in found] == [(3,) * ROWS, (7, 8, 8, 8, 8)]
    assert found[-1].unsettled(analysis(noise(51), found[-1]), removed=False), "but no more seeds are allowed"


def test_rows_with_the_same_runs_stay_together() -> None:
    values = noise(rows=3)
    look = Until(0.004, 3, 60).begin(3)
    found = analysis(values, look)
    alike = attrs.evolve(found.lines[1], label="the same")
    same = Analysis((*found.lines[:2], alike), found.contrasts, {}, look.confidence)
    following = look.after(same, removed=False)
    assert following is not None
    assert following.seeds[1] == following.seeds[2]


def test_without_noise_the_seeds_are_doubled() -> None:
    found = looks(np.full((3, 60), 0.8), Until(0.004, 3, 20))
    assert [each.seeds[0] for each in found] == [3, 6, 12, 20]


@pytest.mark.parametrize("mode", ["stack", "drop", "add", "screen"])
def test_an_ablation_adds_seeds_and_says_so(mode: str, tmp_path: Path) -> None:
    made, launcher = made_up(tmp_path / "out", mode, until=0.6), Noisy()
    assert len(made.tasks) == (2 if mode == "screen" else 3) * len(made.rows)
    table = made.run(launcher=launcher)
    assert table.look is not None
    assert table.look.number > 1
    assert not table.unsettled
    assert "Every trick is settled: its interval is ±0.6 points or narrower" in table.answer
    assert f"This is look {table.look.number} at the results." in table.to_text()
    assert len(launcher.ran) == sum(table.look.seeds)
    data = json.loads((tmp_path / "out" / "table.json").read_text())
    assert data["until"]["look"] == table.look.number
    assert data["until"]["unsettled"] == []
    again = Noisy()
    assert made_up(tmp_path / "out", mode, until=0.6).run(launcher=again) == table
    assert again.ran == []


def test_with_a_limit_what_is_not_settled_is_said(tmp_path: Path) -> None:
    table = made_up(tmp_path / "out", mode="stack", until=0.1, runs=17).run(launcher=Noisy())
    assert [len(line.cells) for line in table.lines] == [4, 4, 4, 4]
    assert "3 tricks are not settled to ±0.1 points: no more seeds were allowed." in table.answer
    assert "To narrow all intervals to ±0.1 points takes about" in table.answer


def test_rows_without_results_are_not_called_settled(tmp_path: Path) -> None:
    made = made_up(tmp_path / "out", "add", until=0.6)
    with pytest.raises(Unfinished) as caught:
        made.run(launcher=Noisy({task.name: (1, "broken") for row in made.cells[1:] for task in row}))
    assert caught.value.table is not None
    assert caught.value.table.answer == "Too few runs have finished to tell what any trick does."
    with pytest.raises(Unfinished) as caught:
        made.run(launcher=Noisy({made.cells[1][0].name: (1, "broken")}))
    assert caught.value.table is not None
    assert "1 has no finished runs. " in caught.value.table.answer
    assert "Runs are missing, so it isn't known yet whether every trick is settled" in caught.value.table.answer
    shown = made.run(launcher=Noisy({task.name: (3, "diverged") for task in made.cells[1]}))
    assert "Every trick with finished runs is settled: its interval is ±0.6 points or narrower" in shown.answer


def test_more_runs_are_counted_from_the_seeds_that_each_row_has() -> None:
    look = attrs.evolve(Until(0.004, 3, 60).begin(3), seeds=(8, 8, 3))
    found = analysis(noise(rows=3), look)
    assert (found.runs_for(10), found.runs_for(8), found.runs_for(2)) == (2 + 2 + 7, 5, 0)
    same = attrs.evolve(found, lines=(*found.lines, attrs.evolve(found.lines[2], label="the same")))
    assert same.runs_for(10) == 2 + 2 + 7


def test_the_page_says_what_narrower_intervals_take(tmp_path: Path) -> None:
    page = made_up(tmp_path / "out", "add", until=0.6).run(launcher=Noisy()).to_html()
    assert 'a lower <code class="option">--until</code> and at least that many <code class="option">--seeds' in page


@pytest.mark.parametrize(("most", "said"), [(3, "3 seeds: 12 runs"), (5, "3 to 5 seeds: 12 runs so far")])
def test_the_command_says_how_many_seeds_each_row_may_get(most: int, said: str, tmp_path: Path) -> None:
    words = ("--mode", "add", "--until", "0.5", "--seeds", most, "--out", tmp_path / "x", "--dry-run")
    assert f"4 rows, {said} of 2 epochs;" in command("ablate", TEXT, *words).stderr


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stack", "screen"])
def test_interruptions_change_nothing(mode: str, tmp_path: Path) -> None:
    whole = made_up(tmp_path / "whole", mode, until=0.6).run(launcher=Noisy())
    draws, stops = np.random.default_rng(0), 0
    for _ in range(100):
        made, launcher = made_up(tmp_path / "stopped", mode, until=0.6), Noisy()
        launcher.stop_after = int(draws.integers(1, 5))
        try:
            table = made.run(launcher=launcher)
            break
        except Interrupted:
            stops += 1
    assert stops >= 10
    assert table == whole


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"until": 0.5, "seeds": 1}, "one seed can't show noise"),
        ({"until": 0.5, "runs": 4}, "4 runs can't show noise in 4 rows"),
    ],
)
def test_what_can_t_be_used_is_refused(options: dict[str, float], said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said):
        made_up(tmp_path / "out", mode="stack", **options)
