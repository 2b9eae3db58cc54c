"""The answer in words, and the page of a table."""

from __future__ import annotations

import re
from unittest import mock

import attrs
import pytest

from recipe.ablation.report.answer import answered, surer
from recipe.ablation.report.page import ticks
from recipe.ablation.report.table import Table
from recipe.base.wording import format_duration
from tests.ablation.test_chart import LABELS
from tests.ablation.test_table import line, table

BASE, MORE = [0.80, 0.81, 0.80, 0.82], [0.90, 0.905, 0.90, 0.922]
NOISE = [0.802, 0.808, 0.801, 0.822]


def three(mode: str) -> Table:
    return table(line("baseline", BASE), line("+ x", MORE, 0), line("+ y", NOISE, 0), mode=mode)


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ({"a": "helps", "b": "helps", "c": "hurts"}, "Of 3 tricks, 2 help (a, b), and 1 hurts (c)."),
        ({"a": "helps", "b": "within noise"}, "Of 2 tricks, 1 helps (a), and none hurt. 1 can't be told from noise."),
        (
            {"a": "within noise", "b": None, "c": "hurts", "d": ""},
            "and 1 hurts (c). 1 can't be told from noise. 1 made no difference. 1 has no finished runs.",
        ),
        ({"a": None}, "Too few runs have finished to tell what any trick does."),
        ({"a": "", "b": None}, "Nothing is known about noise, so no trick can be told from it."),
        (dict.fromkeys("abcdefg", "helps"), "Of 7 tricks, 7 help, and none hurt."),
    ],
)
def test_the_answer_names_what_helps_and_hurts(verdicts: dict[str, str | None], said: str) -> None:
    assert said in answered([*verdicts.items()], 3, 0.005, 3, 4)


def test_the_answer_says_how_many_more_runs_tell_small_effects() -> None:
    found = answered([("a", "helps")], 3, 0.005, 10, 63)
    assert found.endswith("To narrow all intervals to ±0.5 points takes about 63 more runs (10 seeds).")
    assert answered([("a", "helps")], 3, 0.005, 1_000, 9).endswith("takes more than 1,000 seeds.")


@pytest.mark.parametrize(
    ("mode", "said"), [("add", "1 helps (x), and none hurt"), ("drop", "none help, and 1 hurts (x)")]
)
def test_a_trick_whose_removal_gains_hurts(mode: str, said: str) -> None:
    shown = three(mode)
    assert said in shown.answer
    assert shown.to_text().split("\n")[2] == shown.answer
    assert shown.answer in shown.to_markdown()
    assert shown.to_dict()["answer"] == shown.answer


def test_the_page_shows_each_trick_with_its_verdict() -> None:
    page = three("add").to_html("recipe ablate 'x y'")
    rows = re.findall(r'<tr class="(.*?)"><td data-value="(.*?)"><i class="at">(.*?)</i>', page)
    assert rows == [("helps", "+ x", "1"), ("within noise", "+ y", "2")]
    assert "recipe ablate &#39;x y&#39;" in page
    assert not re.findall(r"https?:|src=|@import", page)
    widths = [float(width) for width in re.findall(r'class="(?:together|single)" style="left:.*?;width:(.*?)%"', page)]
    assert len(widths) == 4
    assert widths[0] > widths[1] > 0
    places = [float(left) for left in re.findall(r"left:([-\d.]+)%", page)]
    assert len(places) > 8
    assert all(0 <= place <= 100 for place in places)


@pytest.mark.parametrize(("mode", "gain", "time"), [("add", "+9.93", "+10"), ("drop", "−9.93", "−9")])
def test_gains_and_costs_are_those_of_having_the_trick(mode: str, gain: str, time: str) -> None:
    base, more = line("baseline", BASE), line("+ x", MORE, 0)
    cells = tuple(attrs.evolve(cell, seconds_per_epoch=1.1 * (cell.seconds_per_epoch or 0)) for cell in more.cells)
    page = table(base, attrs.evolve(more, cells=cells), mode=mode).to_html()
    assert f'title="+ x: {gain} points, {time} % training time"' in page


def test_the_page_says_what_is_unusual_about_a_row() -> None:
    page = table(line("baseline", BASE), line("+ x", [None, *MORE[1:]], 0), line("+ y", [None] * 4, 0)).to_html()
    assert '<td class="note">1 of 4 diverged</td>' in page
    assert '<td class="note">4 of 4 diverged</td>' in page


def test_the_page_draws_learning_curves_where_they_are_known() -> None:
    shown = three("add")
    assert "Learning curves" not in shown.to_html()
    curves = {cell.name: ((1.0, 0.5), (2.0, cell.top1 or 0.0)) for row in shown.lines for cell in row.cells}
    page = attrs.evolve(shown, curves=curves).to_html()
    assert page.count("<polyline") == page.count("<polygon") == 4
    assert "50.0 to 92.2 %" in page


def test_the_page_says_what_narrower_intervals_take() -> None:
    shown = three("add")
    rows = re.findall(
        r'<td class="number">± (.*?) points</td><td class="number">(.*?)</td><td class="number">(.*?)</td>',
        shown.to_html(),
    )
    assert shown.analysis.widest is not None
    assert 0.0025 < shown.analysis.widest < 0.005
    assert rows[:2] == [("1.00", "4", "reached"), ("0.50", "4", "reached")]
    needed = shown.analysis.seeds_for(0.0025)
    assert needed is not None
    assert needed > 4
    assert rows[2] == ("0.25", str(needed), f"about {3 * (needed - 4)}")
    assert (
        "One seed says nothing about noise. Repeat" in table(line("baseline", [0.8]), line("+ x", [0.9], 0)).to_html()
    )


def test_intervals_that_are_too_wide_take_at_least_one_more_seed() -> None:
    shown = three("add")
    with mock.patch.object(type(shown.analysis), "seeds_for", return_value=2):
        assert [(each.seeds, each.runs) for each in surer(shown.analysis, 4)] == [(4, 0), (4, 0), (5, 3)]


def test_the_page_says_how_long_more_runs_take() -> None:
    rows = [attrs.evolve(each, epochs=3) for each in three("add").lines]
    shown = attrs.evolve(three("add"), lines=tuple(rows))
    assert [row.seconds for row in rows] == [3 * 11.5] * 3
    needed = shown.analysis.seeds_for(0.0025)
    assert needed is not None
    seconds = 3 * (needed - 4) * 34.5
    assert shown.analysis.seconds_for(needed) == pytest.approx(seconds)
    assert f'<td class="number">{format_duration(seconds)}</td>' in shown.to_html()
    assert "training time</th>" not in three("add").to_html()
    fewer = attrs.evolve(rows[1], cells=tuple(attrs.evolve(cell, status="left") for cell in rows[1].cells))
    untimed = attrs.evolve(rows[2], epochs=None)
    known = attrs.evolve(shown, lines=(rows[0], fewer, untimed)).analysis
    assert known.seconds_for(4) == pytest.approx(4 * 34.5), "rows that need no runs don't count"
    assert known.seconds_for(5) is None


def test_axes_have_round_numbers() -> None:
    assert ticks(0, 0.07) == [0, 0.02, 0.04, 0.06]
    assert ticks(0, 1.86) == [0, 0.5, 1, 1.5]
    assert ticks(-0.013, 0.0726) == [0, 0.02, 0.04, 0.06]
    assert ticks(-0.07, -0.01) == [-0.06, -0.04, -0.02]
    assert ticks(0, 0) == [0]


def test_the_picture_of_gains_has_ticks() -> None:
    base, more = line("baseline", BASE), line("+ x", MORE, 0)
    cells = tuple(attrs.evolve(cell, seconds_per_epoch=1.1 * (cell.seconds_per_epoch or 0)) for cell in more.cells)
    page = table(base, attrs.evolve(more, cells=cells), mode="add").to_html()
    assert re.findall(r"<small.*?>(.*?)</small>", page) == ["+5 %", "+10 %", "+2", "+4", "+6", "+8"]


def test_the_page_says_what_the_tricks_do() -> None:
    assert "What the tricks do" not in three("add").to_html()
    page = attrs.evolve(three("add"), meanings={"x": "Use `x` & more."}).to_html()
    assert "<dt>x</dt><dd>Use <code>x</code> &amp; more.</dd>" in page


def test_tricks_at_the_same_place_have_one_number() -> None:
    rows = [line("baseline", BASE), line("+ y", NOISE, 0), line("+ x", MORE, 0), line("+ z", [*NOISE[:3], 0.823], 0)]
    page = table(*rows, mode="add").to_html()
    assert re.findall(r'<b class="(.*?)".*?>(\d*)</b>', page) == [
        ("within noise", "1"),
        ("helps", "2"),
        ("within noise small", ""),
    ]
    assert "2: + x, 3: + z (next to 1)." in page


@pytest.mark.parametrize("label", LABELS)
def test_any_label_is_text_in_the_page(label: str) -> None:
    page = table(line("baseline", BASE), line(label, MORE, 0, note=label), line("other", [None] * 4, 1)).to_html(label)
    assert page.count("<script>") == 1
    for unsafe in ("\x1b", "\u202e", "\udcff"):
        assert unsafe not in page
