"""The table: its statistics, compared with scipy's, and its formats."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Sequence

import attrs
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from recipe.ablation.report.table import Table
from recipe.ablation.statistics.joint import level_of_each
from recipe.ablation.statistics.results import Cell, Estimate, Line

A, B = [0.92, 0.93, 0.92, 0.94], [0.90, 0.90, 0.91, 0.91]


def line(label: str, values: Sequence[float | None], reference: int | None = None, note: str = "") -> Line:
    cells = tuple(
        Cell(f"{label}{seed}", seed, "diverged" if value is None else "finished", value, 1.0, 10.0 + seed, 2**30)
        for seed, value in enumerate(values)
    )
    return Line(label, reference, (), 1_500, 37_000_000, cells, note)


def table(*lines: Line, mode: str = "stack") -> Table:
    return Table("a title", mode, "base resnet18\n", tuple(range(len(lines[0].cells))), lines, ("about it.",))


def difference(a: Sequence[float | None], b: Sequence[float | None]) -> Estimate | None:
    """Return the difference of two rows that are all of a table."""
    shown = table(line("baseline", [*b]), line("+ x", [*a], 0))
    return shown.difference(shown.lines[1])


def test_two_rows_have_the_intervals_of_a_paired_t_test() -> None:
    found = difference(A, B)
    assert found is not None
    test = stats.ttest_rel(A, B)
    expected = test.confidence_interval(0.95)
    assert found.mean == pytest.approx(statistics.fmean(A) - statistics.fmean(B))
    for interval in (found.interval, found.single, found.own):
        assert interval is not None
        assert [interval.low, interval.high] == pytest.approx([expected.low, expected.high])
    assert found.within_noise == (test.pvalue > 0.05)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=6))
def test_swapping_the_rows_negates_the_difference(pairs: list[tuple[float, float]]) -> None:
    a, b = zip(*pairs, strict=True)
    found = difference(a, b)
    assert found is not None
    assume(found.interval is not None)  # all seeds differ by the same amount
    assert found.interval is not None
    assert found.interval.low <= found.mean <= found.interval.high
    back = difference(b, a)
    assert back is not None
    assert back.mean == pytest.approx(-found.mean)
    assert back.within_noise == found.within_noise


@pytest.mark.parametrize(("a", "b"), [([0.91, 0.92], [0.90, 0.91]), ([0.9, 0.9], [0.9, 0.9])])
def test_without_any_noise_there_is_no_interval(a: list[float], b: list[float]) -> None:
    found = difference(a, b)
    assert found is not None
    assert (found.interval, found.single, found.own, found.within_noise) == (None, None, None, None)
    shown = table(line("baseline", b), line("+ x", a, 0))
    assert shown.cells()[1][3:5] == ("", "")
    assert "no row has an interval." in shown.to_text()


def test_a_row_without_noise_of_its_own_has_the_interval_of_all_rows() -> None:
    shown = table(line("baseline", B), line("+ x", [value + 0.01 for value in B], 0), line("+ y", A, 0), mode="add")
    found = shown.difference(shown.lines[1])
    assert found is not None
    assert found.own is None
    assert found.interval is not None
    assert found.single is not None
    assert found.interval.half > found.single.half > 0


def test_rows_with_the_same_runs_are_one() -> None:
    base, other = line("baseline", B), line("+ y", A, 0)
    same = attrs.evolve(line("+ x", B, 0), cells=base.cells)
    shown = table(base, same, other, mode="add")
    assert shown.difference(same) == Estimate(0.0, seeds=4)
    assert shown.difference(other) == table(base, other).difference(other)


def test_the_seeds_needed_follow_from_the_noise_of_all_rows() -> None:
    base, one, other = [0.90, 0.90, 0.90], [0.91, 0.92, 0.93], [0.90, 0.90, 0.9001]
    shown = table(line("baseline", base), line("+ x", one, 0), line("+ y", other, 0), mode="add")
    needed = shown.analysis.seeds_for(0.005)
    assert needed is not None
    assert shown.answer.endswith(f"takes about {3 * (needed - 3)} more runs ({needed} seeds).")
    residuals = np.array([base, one, other])
    residuals = residuals - residuals.mean(0) - residuals.mean(1, keepdims=True) + residuals.mean()
    deviation = np.sqrt(2 * (residuals**2).sum() / 4)
    correlation = np.array([[1, 0.5], [0.5, 1]])
    halves = []
    for seeds in (needed - 1, needed):
        freedom = 2 * (seeds - 1)
        confidence = level_of_each(0.95, correlation, freedom)
        halves.append(stats.t.ppf((1 + confidence) / 2, freedom) * deviation / np.sqrt(seeds))
    assert halves[1] <= 0.005 < halves[0]
    enough = table(line("baseline", base), line("+ y", other, 0))
    assert "more run" not in enough.answer


def test_one_seed_has_no_interval_and_is_not_called_noise() -> None:
    found = difference([0.9], [0.8])
    assert found is not None
    assert (found.interval, found.within_noise) == (None, None)
    shown = table(line("baseline", [0.8]), line("+ x", [0.9], 0))
    assert shown.cells()[1][:5] == ("+ x", "90.00", "+10.00", "", "")
    assert any("One seed says nothing about noise" in note for note in shown.notes())


def test_only_seeds_that_both_rows_have_are_compared() -> None:
    found = difference([0.9, None, 0.94], [0.8, 0.7, None])
    assert found is not None
    assert found.mean == pytest.approx(0.1)
    assert (found.interval, found.seeds) == (None, 1)
    assert difference([None], [0.5]) is None


def test_the_part_of_the_images_is_a_normal_interval_of_the_differences_per_image() -> None:
    draws = np.random.default_rng(0)
    shown = table(line("baseline", B), line("+ x", A, 0))
    assert shown.analysis.estimates[0] is not None
    assert shown.analysis.estimates[0].images is None
    correct = {cell.name: draws.random(500) < 0.8 for row in shown.lines for cell in row.cells}
    found = attrs.evolve(shown, correct=correct).difference(shown.lines[1])
    assert found is not None
    base, other = (np.mean([correct[cell.name] for cell in row.cells], 0) for row in shown.lines)
    assert found.images == pytest.approx(1.959964 * stats.sem(other - base), rel=1e-5)


def test_the_cells_of_a_row() -> None:
    shown = table(line("baseline", B), line("+ x", A, 0), line("+ y", [0.91, 0.90, 0.95, None], 0, "already applied"))
    found = difference(A, B)
    assert found is not None
    assert found.own is not None
    assert shown.cells()[0] == ("baseline", "90.50 ± 0.58", "", "", "", "", "", "37 M", "1.5 k", "11.5", "1.00 GiB")
    x = shown.cells()[1]
    assert (*x[1:3], x[4]) == ("92.75 ± 0.96", "+2.25", f"{100 * found.own.low:+.2f} to {100 * found.own.high:+.2f}")
    assert x[5:7] == ("", "within noise")  # among the noise of all rows
    assert shown.cells()[2][6] == "within noise; already applied; 1 of 4 diverged"
    lame = table(line("baseline", [0.9, None, 0.8]), line("+ x", [0.9, 0.9, 0.9], 0))
    assert lame.cells()[1][6] == "within noise; own interval over 2 of 3 seeds"


def test_all_formats_contain_the_same_values() -> None:
    shown = table(line("baseline", B), line("+ a | b", A, 0))
    for cell in ("90.50 ± 0.58", "92.75 ± 0.96", "+2.25"):
        assert cell in shown.to_text()
        assert cell in shown.to_markdown()
    assert "+ a \\| b" in shown.to_markdown()
    data = json.loads(shown.to_json())
    assert data["schema_version"] == 2
    assert data["rows"][1]["top1_mean"] == pytest.approx(0.9275)
    assert data["rows"][1]["difference"]["within_noise"] is False
    assert [cell["top1"] for cell in data["rows"][1]["cells"]] == A
    found = list(csv.DictReader(shown.to_csv().splitlines()))
    assert [float(row["top1"]) for row in found] == [*B, *A]
    assert {row["label"] for row in found} == {"baseline", "+ a | b"}


@pytest.mark.parametrize(("mode", "against"), [("stack", "the row above"), ("drop", "the full"), ("add", "the base")])
def test_the_notes_explain_the_comparison(mode: str, against: str) -> None:
    assert against in table(line("x", B), mode=mode).notes()[0]


def test_rows_without_a_seed_in_common_are_noted() -> None:
    shown = table(line("baseline", [None, 0.9]), line("+ x", [0.9, None], 0))
    assert "no seeds in common with `baseline`" in shown.cells()[1][6]


def test_amounts_are_rounded_to_the_next_unit() -> None:
    shown = table(attrs.evolve(line("baseline", A), params=999_900, macs=999_400))
    assert shown.cells()[0][7:9] == ("999 k", "1 M")
