"""The answer in words, and the page of a table."""

from __future__ import annotations

import re

import attrs
import pytest

from recipe.ablation.answer import answered
from recipe.ablation.table import Table
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
        ({"a": "helps", "b": "within noise"}, "Of 2 tricks, 1 helps (a), and none hurt. One can't be told from noise."),
        ({"a": "within noise", "b": None, "c": "hurts"}, "and 1 hurts (c). 2 can't be told from noise."),
        ({"a": None}, "Too few runs have finished to tell what any trick does."),
        ({"a": ""}, "These runs don't show any noise"),
        (dict.fromkeys("abcdefg", "helps"), "Of 7 tricks, 7 help, and none hurt."),
    ],
)
def test_the_answer_names_what_helps_and_hurts(verdicts: dict[str, str | None], said: str) -> None:
    assert said in answered([*verdicts.items()], 3, 3, 4)


def test_the_answer_says_how_many_more_runs_tell_small_effects() -> None:
    found = answered([("a", "helps")], 3, 10, 9)
    assert found.endswith("To tell effects of ±0.5 points takes about 63 more runs (10 seeds).")


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
    assert re.findall(r'<tr class="(.*?)"><td>(.*?)</td>', page) == [("helps", "+ x"), ("within noise", "+ y")]
    assert "recipe ablate &#39;x y&#39;" in page
    assert not re.findall(r"https?:|src=|@import", page)
    widths = [float(width) for width in re.findall(r'class="(?:together|single)" style="left:.*?;width:(.*?)%"', page)]
    assert len(widths) == 4
    assert widths[0] > widths[1] > 0
    assert all(0 <= float(left) <= 100 for left in re.findall(r"left:([-\d.]+)%", page))


def test_the_page_draws_learning_curves_where_they_are_known() -> None:
    shown = three("add")
    assert "Learning curves" not in shown.to_html()
    curves = {cell.name: ((1.0, 0.5), (2.0, cell.top1 or 0.0)) for row in shown.lines for cell in row.cells}
    page = attrs.evolve(shown, curves=curves).to_html()
    assert page.count("<polyline") == page.count("<polygon") == 4
    assert "50.0 to 92.2 %" in page


@pytest.mark.parametrize("label", LABELS)
def test_any_label_is_text_in_the_page(label: str) -> None:
    page = table(line("baseline", BASE), line(label, MORE, 0, note=label), line("other", [None] * 4, 1)).to_html(label)
    assert page.count("<script>") == 1
    for unsafe in ("\x1b", "\u202e", "\udcff"):
        assert unsafe not in page
