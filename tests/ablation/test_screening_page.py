"""The page of a screening: the best combination, effects, interactions, the half-normal plot, and the design."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import attrs
import numpy as np
import pytest

from recipe.ablation.report.screening import Screening
from recipe.ablation.report.screening_page import combinations, half_normal, learning, means_of
from tests.ablation.test_chart import LABELS
from tests.ablation.test_screening import TRICKS, result, table

CLEAR = result({0: 0.03, 1: -0.02, 3: 0.015}, {(0, 3): -0.01})


class Sections(HTMLParser):
    """The text of each section of a page, by its heading."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found, self.heading, self.is_heading = {"": ""}, "", False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.is_heading = self.is_heading or tag == "h2"
        if tag == "h2":
            self.heading = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "h2":
            self.is_heading, self.found[self.heading] = False, ""

    def handle_data(self, data: str) -> None:
        if self.is_heading:
            self.heading += data
        else:
            self.found[self.heading] = self.found.get(self.heading, "") + data


def sections(shown: Screening) -> dict[str, str]:
    return {heading: " ".join(text.split()) for heading, text in Sections(shown.to_html()).found.items()}


def test_the_page_begins_with_the_best_combination_and_how_to_get_it() -> None:
    shown = table(CLEAR)
    best = shown.best
    assert best is not None
    assert best.labels == ("tweak D", "ema 0.9", "augment mixup")
    page = shown.to_html()
    assert re.search(r"<h2>(.*?)</h2>", page)[1] == "The best combination predicted"  # type: ignore[index]
    said = sections(shown)["The best combination predicted"]
    assert f"predicted top-1 {100 * best.estimate.mean:.2f} %" in said
    assert f"gain over none of the tricks {100 * best.gain.mean:+.2f} points" in said
    assert '<pre class="copied">drop loss smooth; ema 0.9; augment mixup</pre>' in page
    inside, outside = said.split("Tricks not in it")
    assert "tweak D +2.4" in inside
    assert "ema 0.9 +0.02 within noise" in inside
    assert "loss smooth −2.0" in outside
    assert "hurts" in outside


def test_a_best_combination_that_was_tried_is_marked_in_the_design() -> None:
    shown = table(result({0: 0.03, 1: 0.02, 2: 0.02, 3: 0.02}), *TRICKS[:4])
    assert shown.best is not None
    assert shown.best.row is not None
    said = f"top-1 of combination {shown.best.row + 1}, which it is"
    assert said in sections(shown)["The best combination predicted"]
    marked = [at for at, row in enumerate(combinations(shown.found, (), [""] * 8, shown.best)) if row["is_best"]]
    assert marked == [shown.best.row]


def test_an_interaction_that_stands_out_has_a_picture_of_four_means() -> None:
    shown = table(CLEAR, *TRICKS[:4])
    first = shown.interactions[0]
    assert first.means is not None
    means = [mean.mean for mean in first.means]
    assert means[3] - means[2] - means[1] + means[0] == pytest.approx(first.estimate.mean)
    said = sections(shown)["Interactions"]
    for mean in means:
        assert f"{100 * mean:.2f}" in said
    assert "With augment mixup, the effect of tweak D is " in said
    assert "this can't be told from loss smooth with ema 0.9" in said
    assert "None stands out." in sections(table(result({0: 0.03})))["Interactions"]


def test_points_of_an_interaction_are_in_the_picture_and_their_numbers_apart() -> None:
    means = table(result({0: 0.03}, {(0, 1): 0.0}), *TRICKS[:3]).interactions[0].means
    assert means is not None
    alike = (means[0], means[0], means[2], means[3])
    without, having = means_of(alike)
    assert without["kind"] == "reference"
    for line in (without, having):
        assert all(16 <= place <= 114 for point in line["points"] for place in (point["y"], *point["ends"]))
    for one, other in zip(without["points"], having["points"], strict=True):
        assert abs(one["text_y"] - other["text_y"]) >= 10.99
        assert one["x"] < other["x"], "their intervals don't cover each other"


def test_the_half_normal_plot_has_the_effects_with_their_numbers_in_the_table() -> None:
    shown = table(CLEAR)
    drawn = half_normal(shown.found.half_normal, [effect.label for effect in shown.found.by_size])
    places = [(at, x, y) for at, _, x, y in drawn["points"]]
    assert [at for at, _, _ in places] == [5, 4, 3, 2, 1]
    assert [x for _, x, _ in places] == sorted(x for _, x, _ in places)
    assert [y for _, _, y in places] == sorted((y for _, _, y in places), reverse=True)
    assert drawn["line"] is not None
    assert "Which effects are more than noise" in shown.to_html()
    unknown = table(CLEAR, seeds=1)
    assert unknown.found.half_normal.slope is None, "with one seed, nothing is known to be noise"
    assert "near a straight line through zero" in unknown.to_html()


def test_the_design_says_what_was_replaced_and_why() -> None:
    shown = table(result({0: 0.03}), "lr cosine", "lr step 1", "ema 0.9", "tweak D")
    page, said = shown.to_html(), sections(shown)["The design"]
    assert said.count("replaced: another trick overrides lr cosine") == 2
    assert page.count("<code>lr cosine</code>") == 2
    assert page.count('<td class="level">○</td>') >= 2, "the design has `lr cosine` on"
    assert "In a design of resolution 4, no effect includes an interaction of two tricks." in said
    assert "Combinations that are replaced or have no results add parts of some." in said
    inflations = [f"{effect.inflation:.2f}" for effect in shown.effects]
    assert f"{''.join(inflations)}× error" in said
    lost = table(result({0: 0.03}), "tweak A", "tweak B")
    assert "No row is in place of tweak A, tweak B, which can't be trained: " in sections(lost)["The design"]


def test_the_design_says_what_diverged() -> None:
    shown = table(lambda on, row, seed: None if row == 2 or (row, seed) == (4, 1) else CLEAR(on, row, seed))
    rows = combinations(shown.found, (), ["; ".join(shown._said(line)) for line in shown.lines])
    assert (rows[2]["mean"], rows[2]["runs"], rows[2]["notes"]) == (None, (0, 2), "2 of 2 diverged")
    assert (rows[4]["runs"], rows[4]["notes"]) == ((1, 2), "1 of 2 diverged")
    assert "2 of 2 diverged" in sections(shown)["The design"]
    left = [(*row.cells, attrs.evolve(row.cells[0], name="left", status="left", top1=None)) for row in shown.lines]
    lines = tuple(attrs.evolve(row, cells=cells) for row, cells in zip(shown.lines, left, strict=True))
    rows = combinations(attrs.evolve(shown, lines=lines).found, (), [""] * len(lines))
    assert [row["runs"] for row in rows[2:5]] == [(0, 2), (2, 2), (1, 2)], "one that is left is no run"


def test_with_resolution_3_the_page_lists_what_effects_include() -> None:
    shown = sections(table(result({0: 0.03}), resolution=3))
    said = shown["The design"]
    assert "the effect of a trick may include interactions of other tricks" in said
    assert re.search(r"tweak D[−+]\d\.\d\d loss smooth × ", said)
    assert "with that many --seeds and --resolution 3 instead of --runs" in shown["To be surer"]


def with_curves(shown: Screening) -> Screening:
    curves = {
        cell.name: tuple((float(epoch), (cell.top1 or 0) - 0.1 / epoch) for epoch in (1, 2, 4))
        for line in shown.lines
        for cell in line.cells
    }
    return attrs.evolve(shown, curves=curves)


def test_learning_curves_are_averages_over_the_other_tricks() -> None:
    shown = with_curves(table(CLEAR, *TRICKS[:4]))
    top1 = np.array([line.values for line in shown.lines], float)
    on = shown.design.levels[:, 1]
    without, having = learning(shown.found, shown.curves)[1]
    assert list(having) == [1, 2, 4]
    assert having[2] == pytest.approx(top1[on].mean(0) - 0.05)
    assert without[4] == pytest.approx(top1[~on].mean(0) - 0.025)
    assert shown.to_html().count("<polyline") == 8
    assert "Learning curves" not in table(CLEAR).to_html()


def test_a_run_without_a_curve_leaves_the_average_over_the_other_tricks() -> None:
    shown = with_curves(table(result({0: 0.03, 1: -0.02}, noise=0), *TRICKS[:4]))
    lost = {name: curve for name, curve in shown.curves.items() if name != "3/0"}
    for (without, having), effect in zip(learning(shown.found, lost), (0.03, -0.02, 0, 0), strict=True):
        assert [len(values) for values in having.values()] == [2, 2, 2]
        for epoch in (1, 2, 4):
            assert np.subtract(having[epoch], without[epoch]) == pytest.approx(np.full(2, effect))


PAGES = {
    "clear": lambda: with_curves(table(CLEAR)),
    "resolution 3": lambda: table(CLEAR, resolution=3),
    "one seed": lambda: table(CLEAR, seeds=1),
    "no result": lambda: table(lambda on, row, seed: None, *TRICKS[:3]),
    "an unknown effect": lambda: table(lambda on, row, seed: None if on[0] else CLEAR(on, row, seed), *TRICKS[:4]),
    "no noise": lambda: table(lambda on, row, seed: 0.8, *TRICKS[:3]),
}


@pytest.mark.parametrize("kind", PAGES)
def test_every_page_loads_nothing_and_draws_inside_of_its_pictures(kind: str) -> None:
    shown = PAGES[kind]()
    page = shown.to_html("recipe ablate x --mode screen")
    assert not re.findall(r"https?:|src=|@import|nan|None,|undefined", page)
    assert all(0 <= float(place) <= 100 for place in re.findall(r"(?:left|top):([-\d.]+)%", page))
    assert all(0 <= float(x) <= 360 for x in re.findall(r' (?:x|cx|x1|x2)="(.*?)"', page))
    assert all(0 <= float(y) <= 220 for y in re.findall(r' (?:y|cy|y1|y2)="(.*?)"', page))
    assert "Plackett and Burman 1946" in page
    assert ("Box and Wilson 1951" in page) == (shown.design.resolution == 4)


@pytest.mark.parametrize("label", LABELS)
def test_any_label_is_text_in_the_page(label: str) -> None:
    shown = table(CLEAR, *TRICKS[:4])
    units = (attrs.evolve(shown.units[0], label=label), *shown.units[1:])
    page = attrs.evolve(shown, units=units).to_html(label)
    assert page.count("<script>") == 1
    for unsafe in ("\x1b", "\u202e", "\udcff"):
        assert unsafe not in page
