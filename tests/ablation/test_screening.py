"""The table of a screening: effects, interactions, the best combination, and what lost rows cost."""

from __future__ import annotations

import csv
import itertools
import json
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import pytest
from scipy import stats

from recipe.ablation.report import chart
from recipe.ablation.report.screening import Screening
from recipe.ablation.rows.combinations import Screen, screened
from recipe.ablation.statistics.estimates import Fit
from recipe.ablation.statistics.results import Cell, Line
from tests.helpers import bind

TEXT = "base resnet18; batch 8; epochs 2; lr 0.1; tweak D; loss smooth"
TRICKS = ("tweak D", "loss smooth", "ema 0.9", "augment mixup", "lr cosine")

Result = Callable[[list[bool], int, int], float | None]
"""The top-1 of a row by its tricks, its index and its seed, or None if it diverges."""


def result(
    effects: dict[int, float], together: dict[tuple[int, int], float] | None = None, noise: float = 0.001
) -> Result:
    """Return made-up results: the sum of effects of tricks and pairs of tricks, of the seed, and noise."""

    def of(on: list[bool], row: int, seed: int) -> float:
        top1 = 0.8 + sum(change for trick, change in effects.items() if on[trick])
        top1 += sum(change for (a, b), change in (together or {}).items() if on[a] and on[b])
        return float(top1 + 0.01 * seed + np.random.default_rng([row, seed]).normal() * noise)

    return of


def table(of: Result, *tricks: str, seeds: int = 2, resolution: int = 4, screen: Screen | None = None) -> Screening:
    screen = screen or screened(bind(TEXT, data=True), tricks or TRICKS, resolution)
    lines = list[Line]()
    for at, (row, on) in enumerate(zip(screen.rows, screen.design.levels.tolist(), strict=True)):
        cells = []
        for seed in range(seeds):
            top1 = of(on, at, seed)
            diverged = top1 is None
            seconds = None if diverged else 20.0 + on[0]
            status = "diverged" if diverged else "finished"
            cells.append(Cell(f"{at}/{seed}", seed, status, top1, seconds_per_epoch=seconds))
        lines.append(Line(row.label, None, (), 1, 1, tuple(cells)))
    return Screening(
        "a title", "screen", "base resnet18\n", tuple(range(seeds)), tuple(lines), units=screen.units,
        design=screen.design, replaced=screen.replaced, statements=screen.combinations.statements,
    )  # fmt: skip


def test_effects_are_differences_of_means_with_the_noise_of_all_rows() -> None:
    shown = table(result({0: 0.03, 1: -0.02}))
    top1 = np.array([line.values for line in shown.lines], float)
    residuals = top1 - top1.mean(0) - top1.mean(1, keepdims=True) + top1.mean()
    deviation = np.sqrt((residuals**2).sum() / 15)
    for effect, on in zip(shown.effects, shown.design.levels.T, strict=True):
        assert effect.estimate is not None
        assert effect.estimate.mean == pytest.approx(top1[on].mean() - top1[~on].mean())
        assert (effect.inflation, effect.aliases, effect.runs) == (1, (), (16, 16))
    fit = Fit(top1, shown.design.contrasts)
    equal = stats.t.ppf(0.975, 15) * deviation * np.sqrt(4 / 32)
    assert fit.halves(0.95)[0] == pytest.approx(equal, rel=0.15), "with moderated variances"
    assert shown.effects[0].estimate is not None
    assert shown.effects[0].estimate.single is not None
    assert shown.effects[0].estimate.single.half == pytest.approx(fit.halves(0.95)[0])
    assert shown.effects[0].estimate.interval is not None
    assert shown.effects[0].estimate.interval.half > shown.effects[0].estimate.single.half
    assert [effect.verdict for effect in shown.effects] == ["helps", "hurts", *["within noise"] * 3]
    assert [cell[0] for cell in shown.cells()][:2] == ["tweak D", "loss smooth"], "sorted by size"


def test_an_interaction_that_stands_out_is_named_with_all_pairs_that_could_be_it() -> None:
    shown = table(result({0: 0.03, 1: 0.02}, {(0, 1): 0.04}), *TRICKS[:4])
    first = shown.interactions[0]
    assert first.pairs == (("tweak D", "loss smooth"), ("ema 0.9", "augment mixup"))
    assert first.signs == (1, 1)
    assert first.estimate.mean == pytest.approx(0.04, abs=0.004)
    assert [each.stands_out for each in shown.interactions] == [True, False, False]
    text = shown.to_text()
    assert "Interaction: with loss smooth, the effect of tweak D is " in text
    assert " points higher than without (+" in text
    assert "this can't be told from ema 0.9 with augment mixup." in text
    assert "Interaction" not in table(result({0: 0.03})).to_text()


def test_of_pairs_that_can_not_be_told_apart_the_one_with_the_largest_effects_is_first() -> None:
    first = table(result({1: 0.03, 3: -0.03}, {(1, 3): -0.02}), *TRICKS[:4]).interactions[0]
    assert first.pairs == (("loss smooth", "augment mixup"), ("tweak D", "ema 0.9"))
    assert first.estimate.mean == pytest.approx(-0.02, abs=0.004)
    assert first.means is not None
    expected = [0.805, 0.835, 0.775, 0.785]
    assert [mean.mean for mean in first.means] == pytest.approx(expected, abs=0.003)


def test_costs_are_averages_over_the_other_tricks() -> None:
    shown = table(result({}), *TRICKS[:4])
    levels = shown.design.levels
    lines = [
        attrs.evolve(
            line,
            macs=100 + 10 * int(on[0]),
            cells=tuple(attrs.evolve(cell, seconds_per_epoch=4.0 + on[1] - 2 * on[2]) for cell in line.cells),
        )
        for line, on in zip(shown.lines, levels.tolist(), strict=True)
    ]
    lines[3] = attrs.evolve(
        lines[3], cells=tuple(attrs.evolve(cell, seconds_per_epoch=None) for cell in lines[3].cells)
    )
    effects = attrs.evolve(shown, lines=tuple(lines)).effects
    assert [effect.macs for effect in effects] == pytest.approx([0.1, 0, 0, 0])
    assert [effect.seconds for effect in effects] == pytest.approx([0, 4 / 3 - 1, 2.5 / 4.5 - 1, 0], abs=1e-5)


def test_the_best_combination_has_every_trick_that_helps() -> None:
    shown = table(result({0: 0.03, 1: -0.02, 2: 0.01, 3: -0.01, 4: 0.005}))
    best = shown.best
    assert best is not None
    assert best.labels == ("tweak D", "ema 0.9", "lr cosine")
    assert best.statements == ("drop loss smooth", "ema 0.9", "lr cosine")
    assert best.estimate.mean == pytest.approx(0.8 + 0.045 + 0.005, abs=0.002), "a mean over the seeds"
    assert best.gain.mean == pytest.approx(0.045, abs=0.002)
    tried = shown.design.levels.tolist()
    on = [True, False, True, False, True]
    assert best.row == (tried.index(on) if on in tried else None)
    assert "override the recipe with: drop loss smooth; ema 0.9; lr cosine." in shown.to_text()


def test_a_prediction_has_the_interval_of_a_regression() -> None:
    shown = table(result({0: 0.03}, noise=0.01), *TRICKS[:4])
    best = shown.best
    assert best is not None
    assert best.estimate.single is not None
    top1 = np.array([line.values for line in shown.lines], float)
    model = np.hstack([np.ones((8, 1)), shown.design.levels])
    on = [1.0, *(float(unit.label in best.labels) for unit in shown.units)]
    weights = on @ np.linalg.pinv(model)
    assert best.estimate.mean == pytest.approx(weights @ top1.mean(1))
    residuals = top1 - top1.mean(0) - top1.mean(1, keepdims=True) + top1.mean()
    half = stats.t.ppf(0.975, 7) * np.sqrt((residuals**2).sum() / 7 * (weights**2).sum() / 2)
    assert best.estimate.single.half == pytest.approx(half, rel=0.2), "with moderated variances"


def test_an_interaction_decides_what_is_best() -> None:
    alone = table(result({0: 0.03, 1: 0.02}, {(0, 1): -0.06}), *TRICKS[:3]).best
    assert alone is not None
    assert "tweak D" in alone.labels
    assert "loss smooth" not in alone.labels, "it helps only without `tweak D`"
    none = table(result(dict.fromkeys(range(4), -0.02)), *TRICKS[:4])
    assert "Best predicted combination: none of the tricks, top-1 80." in none.to_text()


def test_the_best_combination_is_possible() -> None:
    shown = table(result({0: 0.03, 1: 0.02, 2: -0.01, 3: 0.01}), "lr cosine", "lr step 1", "ema 0.9", "tweak D")
    assert shown.best is not None
    assert shown.best.labels == ("lr cosine", "tweak D"), "`lr step` overrides `lr cosine`"
    text = shown.to_text()
    assert "2 combinations of the design, such as `lr cosine, lr step 1" in text
    assert "Standard errors as multiples of those in the full design: lr cosine 1." in text
    assert [(each.on[:2], each.why) for each in shown.replaced] == [
        ((True, True), "another trick overrides `lr cosine`")
    ] * 2
    for each in shown.replaced:
        assert each.row is not None
        assert shown.design.levels[each.row].tolist() != [*each.on]


def test_what_diverged_is_named_with_what_it_costs() -> None:
    of = result({0: 0.03})
    whole = table(of)
    shown = table(lambda on, row, seed: None if row == 2 or (row, seed) == (4, 1) else of(on, row, seed))
    text = shown.to_text()
    assert f"2 of 2 runs of `{shown.lines[2].label}` diverged." in text
    assert f"1 of 2 runs of `{shown.lines[4].label}` diverged." in text
    assert f"Effects are estimated without the rows that have no results: `{shown.lines[2].label}`." in text
    assert "Standard errors as multiples" in text
    for effect, full in zip(shown.effects, whole.effects, strict=True):
        assert effect.inflation is not None
        assert 1 < effect.inflation < 1.2
        assert effect.estimate is not None
        assert full.estimate is not None
        assert effect.estimate.mean == pytest.approx(full.estimate.mean, abs=0.002)
        assert sum(effect.runs) == 29
        assert effect.aliases, "without a row, effects include some of the interactions"


def test_what_the_results_do_not_tell_is_not_said() -> None:
    of = result({0: 0.03})
    shown = table(lambda on, row, seed: None if on[0] else of(on, row, seed), *TRICKS[:3])
    assert [effect.estimate is None for effect in shown.effects] == [True, False, False]
    assert (shown.effects[0].inflation, shown.effects[0].seconds, shown.effects[0].macs) == (None, None, 0)
    assert shown.cells()[-1][:6] == ("tweak D", "–", "", "", "", "can't be told from the results")
    assert shown.best is None
    nothing = table(lambda on, row, seed: None, *TRICKS[:3])
    assert [effect.estimate for effect in nothing.effects] == [None] * 3
    assert (nothing.interactions, nothing.best) == ((), None)
    assert nothing.to_text()


def test_one_seed_has_no_interval() -> None:
    shown = table(result({0: 0.03}), seeds=1)
    assert {effect.verdict for effect in shown.effects} == {""}
    assert not any(each.stands_out for each in shown.interactions)
    assert "One seed says nothing about noise" in shown.to_text()


def test_with_resolution_3_the_aliases_are_named() -> None:
    shown = table(result({0: 0.03}), resolution=3)
    assert "the effect of a trick may include interactions of other tricks" in shown.to_text()
    aliases = [alias.tricks for effect in shown.effects for alias in effect.aliases]
    assert len(aliases) == len({*aliases}) > 0
    assert {*aliases} <= {*itertools.combinations(TRICKS, 2)}


def test_all_formats_contain_the_same_effects() -> None:
    shown = table(result({0: 0.03, 1: -0.02}, {(0, 1): 0.04}))
    data = json.loads(shown.to_json())
    mean = data["effects"][0]["mean"]
    assert mean == pytest.approx(0.05, abs=0.002)
    for text in (shown.to_text(), shown.to_markdown(), shown._repr_html_()):
        assert f"{100 * mean:+.2f}" in text
        assert "folded-over Plackett-Burman design of 16 combinations, resolution 4" in text
    assert data["design"]["levels"] == shown.design.levels.astype(int).tolist()
    assert data["best"]["row"] is None or data["rows"][data["best"]["row"]]
    rows = list(csv.DictReader(shown.to_csv().splitlines()))
    assert len(rows) == 32
    assert [[int(row[trick]) for trick in TRICKS] for row in rows[::2]] == data["design"]["levels"]


def test_no_trick_helps_in_most_tables_without_effects() -> None:
    base, wrong = table(result({})), 0
    for draw in range(100):
        noise = np.random.default_rng(draw).normal(0.8, 0.01, (16, 2))
        lines = [
            attrs.evolve(line, cells=tuple(attrs.evolve(cell, top1=noise[at, cell.seed]) for cell in line.cells))
            for at, line in enumerate(base.lines)
        ]
        shown = attrs.evolve(base, lines=tuple(lines))
        wrong += any(effect.verdict in ("helps", "hurts") for effect in shown.effects)
    assert wrong <= 12, "5 are expected"


def test_the_answer_and_the_page_are_about_the_effects() -> None:
    shown = table(result({0: 0.03, 2: -0.03}), *TRICKS[:4])
    assert shown.answer.startswith("Of 4 tricks, 1 helps (tweak D), and 1 hurts (ema 0.9). 2 can't be told from noise.")
    page = shown.to_html()
    verdicts = dict(re.findall(r'<td data-value="(.*?)"><i class="at">.*?</td><td class="(.*?)">', page))
    assert verdicts == {
        "tweak D": "helps",
        "ema 0.9": "hurts",
        "loss smooth": "within noise",
        "augment mixup": "within noise",
    }


@pytest.mark.usefixtures("unhurried")
def test_the_chart_shows_every_effect_and_names_those_that_stand_out_twice(tmp_path: Path) -> None:
    shown, empty = table(result({0: 0.03, 1: -0.02})), tmp_path / "empty"
    empty.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert chart.write(shown, tmp_path) == ""
        assert chart.write(table(lambda on, row, seed: None, *TRICKS[:3]), empty) == ""
    texts = ["".join(element.itertext()).strip() for element in ET.parse(tmp_path / "chart.svg").findall(".//{*}text")]
    assert {text: texts.count(text) for text in TRICKS} == dict(zip(TRICKS, (2, 2, 1, 1, 1), strict=True))
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    first = (tmp_path / "chart.svg").read_bytes()
    chart.write(shown, tmp_path)
    assert (tmp_path / "chart.svg").read_bytes() == first


def test_a_trick_that_makes_runs_less_noisy_is_named() -> None:
    def of(on: list[bool], row: int, seed: int) -> float:
        return float(0.8 + np.random.default_rng([row, seed]).normal() * (0.001 if on[1] else 0.01))

    shown = table(of, seeds=3)
    (found,) = shown.found.noise
    assert found.label == "loss smooth"
    assert found.on == pytest.approx(0.001, rel=0.5)
    assert found.off == pytest.approx(0.01, rel=0.3)
    assert f"Runs without loss smooth are noisier: {100 * found.off:.2f} points instead of " in shown.to_text()
    assert table(result({0: 0.03})).found.noise == ()
    assert table(lambda on, row, seed: 0.5).found.noise == ()


def test_the_answer_names_tricks_whose_effects_depend_on_each_other() -> None:
    shown = table(result({0: 0.03, 1: 0.02}, {(0, 1): 0.04}), *TRICKS[:4])
    assert "The effects of tweak D and loss smooth seem to depend on each other." in shown.answer
    assert "depend on each other" not in table(result({0: 0.03})).answer
