"""How often intervals hold in simulated tables: a part of `python -m tests.intervals`, with the same limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from recipe.ablation.statistics.joint import level_of_each
from tests.helpers import ROOT
from tests.intervals.coverage import coverage
from tests.intervals.runs import mean_half, needed
from tests.intervals.simulated import Kind


@pytest.mark.parametrize("mode", ["stack", "add"])
def test_intervals_hold_as_often_as_they_say(mode: str) -> None:
    found = coverage(Kind(mode, 8, 3), 250)
    assert 0.935 < found.single < 0.965
    assert 0.93 < found.own < 0.97
    assert 0.92 < found.together < 0.98
    assert 0.02 < found.false_alarms < 0.08
    assert found.half == pytest.approx(1.73 * 0.005, rel=0.05)  # the documentation has the factor


@pytest.mark.parametrize("mode", ["stack", "add"])
def test_intervals_of_rows_that_differ_in_their_noise_hold_almost_as_often(mode: str) -> None:
    found = coverage(Kind(mode, 8, 3, "spread"), 250)
    assert 0.92 < found.single < 0.97
    assert 0.03 < found.false_alarms < 0.13


@pytest.mark.parametrize("noise", ["equal", "spread", "calmed"])
def test_intervals_of_a_screening_hold_however_uneven_its_rows_are(noise: str) -> None:
    found = coverage(Kind("screen", 8, 2, noise), 250)
    assert 0.925 < found.single < 0.97
    assert found.false_alarms < 0.1


@pytest.mark.parametrize("kind", [Kind("stack", 8, 20, until=1.0), Kind("screen", 8, 20, until=0.35)])
def test_intervals_hold_although_seeds_are_added_until_they_are_narrow(kind: Kind) -> None:
    found = coverage(kind, 60)
    assert found.single > 0.95
    assert found.together > 0.93
    assert found.false_alarms < 0.07
    assert kind.rows * 3 < found.runs < kind.rows * 15


def test_a_screening_of_eight_tricks_takes_a_quarter_of_the_runs() -> None:
    measured = np.random.default_rng(0).normal(0, 0.006, 400)
    screen = needed("screen", 8, 0.005, measured)
    half = mean_half(screen, measured)
    stack = needed("stack", 8, half, measured)
    assert mean_half(stack, measured) <= half <= 0.005
    assert screen.rows * screen.seeds <= stack.rows * stack.seeds / 4


def test_the_half_widths_of_the_documentation() -> None:
    weights = np.eye(8, 9, 1) - np.eye(8, 9)
    text = (ROOT / "docs" / "explanation" / "confidence.md").read_text()
    for seeds in (2, 3, 5, 10, 20):
        freedom, error = 8 * (seeds - 1), np.sqrt(2 / seeds)
        together = level_of_each(0.95, weights @ weights.T / 2, freedom)
        levels = (0.95, seeds - 1), (0.95, freedom), (together, freedom)
        halves = [error * stats.t.ppf((1 + level) / 2, degrees) for level, degrees in levels]
        assert f"| {seeds} | {' | '.join(f'{half:.2f}' for half in halves)} |" in text
