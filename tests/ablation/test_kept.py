"""The effects of tricks next to one that helps and makes runs less noisy."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

import numpy as np
import pytest

from recipe.ablation.rows.combinations import Combinations, screened
from recipe.ablation.rows.variants import units_of
from recipe.ablation.statistics.estimates import Fit
from recipe.plan.bind import resolve
from tests.ablation.test_screening import TEXT, TRICKS, Result, table
from tests.helpers import bind
from tests.intervals.coverage import coverage
from tests.intervals.simulated import Kind


def calmed(effects: dict[int, float], by: int = 1, when_on: bool = True) -> Result:
    """Return made-up results that are twenty times as noisy unless one trick is on, or off."""

    def of(on: list[bool], row: int, seed: int) -> float:
        noise = 0.001 if on[by] == when_on else 0.02
        top1 = 0.7 + sum(change for trick, change in effects.items() if on[trick])
        return float(top1 + np.random.default_rng([row, seed, 7]).normal() * noise)

    return of


def test_the_runs_with_a_trick_that_helps_and_calms_tell_about_the_others() -> None:
    shown = table(calmed({1: 0.1, 0: 0.01}), seeds=3)
    assert shown.kept is not None
    assert (shown.kept.label, shown.kept.on, shown.kept.where) == (TRICKS[1], True, f"with {TRICKS[1]}")
    on = shown.design.levels[:, 1]
    results = np.array([line.values for line in shown.lines], float)[on]
    levels = shown.design.levels[on][:, [0, 2, 3, 4]]
    effects = {effect.label: effect for effect in shown.kept.found.all}
    assert [*effects] == [TRICKS[at] for at in (0, 2, 3, 4)]
    assert shown.kept.runs == results.size
    for label, having in zip(effects, levels.T, strict=True):
        estimate = effects[label].estimate
        assert estimate is not None
        assert estimate.mean == pytest.approx(results[having].mean() - results[~having].mean())
    of_all = shown.found.all[0].estimate
    found = effects[TRICKS[0]].estimate
    assert of_all is not None
    assert found is not None
    assert of_all.interval is not None
    assert found.interval is not None
    assert found.interval.half < of_all.interval.half / 3
    assert effects[TRICKS[0]].verdict == "helps"
    assert of_all.interval.half > 0.01
    variance = Fit(results, shown.kept.found.design.contrasts).variance
    assert shown.kept.found.analysis.variance == pytest.approx(variance)


def test_a_trick_that_hurts_is_kept_off() -> None:
    shown = table(calmed({1: -0.1, 0: 0.01}, when_on=False), seeds=3)
    assert shown.kept is not None
    assert (shown.kept.on, shown.kept.where) == (False, f"without {TRICKS[1]}")
    assert shown.kept.statements == ("drop loss smooth",)


@pytest.mark.parametrize(
    ("over", "on", "off"),
    [
        (("tweak D", "loss smooth", "ema 0.9"), "", "drop tweak D"),
        (("ema 0.9", "loss smooth", "tweak D"), "ema 0.9", ""),
        (("batch 16", "loss smooth", "tweak D"), "batch 16", ""),
        (("tweak D", "batch 16", "loss smooth", "ema 0.9"), "", "drop tweak D"),
        (("tweak D; loss smooth", "lr cosine", "ema 0.9"), "", "drop tweak D; drop loss smooth"),
    ],
)
def test_the_statements_of_a_kept_trick_leave_the_others_their_values(over: Sequence[str], on: str, off: str) -> None:
    plan = bind(f"{TEXT} 0.3", data=True)
    screen = screened(plan, over)
    for is_on, expected in ((True, on), (False, off)):
        shown = table(calmed({0: 0.2 if is_on else -0.2}, 0, is_on), screen=screen, seeds=4)
        assert shown.kept is not None
        assert "; ".join(shown.kept.statements) == expected
        override = f"override the recipe with `{expected}`, and " * bool(expected)
        assert any(f"To screen these tricks {shown.kept.where}, {override}study only" in n for n in shown.notes())
        alone = resolve(plan, *shown.kept.statements, data=True)
        others = Combinations(alone, units_of(alone, "screen", over[1:]))
        for choice in itertools.product((False, True), repeat=len(over) - 1):
            found, whole = others.find(choice), screen.combinations.find((is_on, *choice))
            assert found is not None
            assert whole is not None
            assert found[0].plan.digest == whole[0].plan.digest


def test_nothing_is_kept_that_makes_runs_noisier_or_does_not_help() -> None:
    assert table(calmed({1: 0.1}, when_on=False), seeds=3).kept is None
    assert table(calmed({1: -0.1}), seeds=3).kept is None
    assert table(calmed({0: 0.1}), seeds=3).kept is None
    assert table(calmed({1: 0.1}), seeds=1).kept is None


def test_the_noise_of_few_runs_is_not_trusted() -> None:
    of = calmed({1: 0.1})
    assert table(of, *TRICKS[:4]).found.noise != ()
    assert table(of, *TRICKS[:4]).kept is None
    shown = table(of, *TRICKS[:4], seeds=3)
    assert shown.kept is not None
    assert shown.kept.found.analysis.freedom == 6


def test_the_best_combination_is_that_next_to_the_kept_trick() -> None:
    shown = table(calmed({1: 0.1, 0: 0.01, 2: -0.01, 3: 0.005}), seeds=3)
    kept, best = shown.kept, shown.best
    assert kept is not None
    assert best is not None
    assert best is kept.best
    assert (best.on[:4], best.labels[:2]) == ((True, True, False, True), TRICKS[:2])
    assert best.statements == shown.statements(best.on)
    assert best.estimate.mean == pytest.approx(0.815, abs=0.003)
    assert kept.rest.top1_of((False,) * 4) is not None
    none = kept.rest.top1_of((False,) * 4)
    assert none is not None
    assert best.gain.mean == pytest.approx(best.estimate.mean - none.mean)
    assert best.gain.single is not None
    assert best.estimate.single is not None
    assert none.single is not None
    assert best.gain.single.half == pytest.approx(np.hypot(best.estimate.single.half, none.single.half))
    assert none.single.half > 5 * best.estimate.single.half
    both = np.array([best.on, (False,) * 5])
    assert shown.predicted(both) == pytest.approx([best.estimate.mean, none.mean])
    assert shown.found.predicted(both) != pytest.approx([best.estimate.mean, none.mean])
    assert f"Best predicted combination by the runs with {TRICKS[1]}: " in shown.to_text()


def test_a_combination_that_keeps_a_trick_off_gains_within_those_runs() -> None:
    shown = table(calmed({1: -0.1, 0: 0.01}, when_on=False), seeds=3)
    assert shown.kept is not None
    assert shown.best is not None
    assert not shown.best.on[1]
    assert shown.best.on[0]
    within = shown.kept.found.best
    assert within is not None
    assert (shown.best.gain, shown.best.estimate) == (within.gain, within.estimate)


def test_the_whole_screening_predicts_if_the_noisy_runs_do_not() -> None:
    calm = calmed({1: 0.1, 0: 0.01})
    shown = table(lambda on, row, seed: calm(on, row, seed) if on[1] or not on[0] else None, seeds=3)
    assert shown.kept is not None
    assert shown.kept.best is None
    assert shown.best is not None
    assert shown.best is shown.found.best


def test_halves_under_other_seeds_are_not_compared() -> None:
    calm = calmed({1: 0.1, 0: 0.01})
    shown = table(lambda on, row, seed: None if seed == 3 and not on[1] else calm(on, row, seed) + 0.1 * seed, seeds=4)
    assert shown.kept is not None
    assert shown.kept.best is None
    assert shown.best is shown.found.best
    assert "Best predicted combination: " in shown.to_text()
    assert "by the runs with" not in shown.to_text()
    assert "are from the runs with" not in shown.to_html()


def test_a_trick_that_fades_next_to_the_kept_one_is_named() -> None:
    def of(on: list[bool], row: int, seed: int) -> float:
        noise = np.random.default_rng([row, seed, 7]).normal() * (0.0005 if on[1] else 0.01)
        return float(0.7 + 0.1 * on[1] + 0.08 * (on[0] and not on[1]) + noise)

    shown = table(of, seeds=3)
    assert shown.kept is not None
    assert f"There, {TRICKS[0]} can't be told from noise." in shown.answer


def test_runs_without_any_noise_are_no_screening_of_the_others() -> None:
    calm = calmed({})
    shown = table(lambda on, row, seed: 1.0 if on[1] else calm(on, row, seed), seeds=3)
    assert shown.kept is None
    assert "In those" not in shown.answer


def test_a_single_other_trick_is_no_screening() -> None:
    shown = table(calmed({1: 0.1}), *TRICKS[:2], seeds=20)
    assert (shown.effects[1].verdict, [each.label for each in shown.found.noise]) == ("helps", [TRICKS[1]])
    assert shown.kept is None
    assert "screen" not in shown.answer.lower()


def test_runs_that_do_not_tell_all_other_effects_are_no_screening_of_them() -> None:
    calm = calmed({1: 0.1})

    def of(on: list[bool], row: int, seed: int) -> float | None:
        return None if on[1] and on[0] else calm(on, row, seed)

    shown = table(of, seeds=4)
    assert any(each.label == TRICKS[1] for each in shown.found.noise)
    assert shown.kept is None


def test_effects_next_to_a_kept_trick_name_their_aliases() -> None:
    shown = table(calmed({1: 0.1}), seeds=3)
    assert shown.kept is not None
    assert any(effect.aliases for effect in shown.kept.found.all)
    assert not any(effect.aliases for effect in shown.effects)
    said = "With half of the combinations, they can't be told from interactions of two of the 4 other tricks."
    assert any(said in note for note in shown.notes())


def test_every_format_has_both_tables() -> None:
    shown = table(calmed({1: 0.1, 0: 0.01}), seeds=3)
    heading = f"with {TRICKS[1]}"
    effects, others = shown.parts()
    assert [row[0] for row in effects][1:] == [effect.label for effect in shown.found.by_size]
    assert others[0] == (heading, *effects[0][1:])
    assert len(others) == 5
    assert any(line.startswith(heading) for line in shown.to_text().splitlines())
    assert f"| {heading} |" in shown.to_markdown()
    assert f"The effects of the others {heading}" in shown.to_html()
    assert shown._repr_html_().count("<table") == 2
    kept = json.loads(shown.to_json())["kept"]
    assert (kept["trick"], kept["is_on"]) == (TRICKS[1], True)
    assert [each["label"] for each in kept["effects"]] == [TRICKS[at] for at in (0, 2, 3, 4)]
    assert json.loads(table(calmed({}), seeds=3).to_json())["kept"] is None


def test_the_answer_says_what_a_screening_with_it_would_take() -> None:
    shown = table(calmed({1: 0.1, 0: 0.01}), seeds=3)
    assert shown.kept is not None
    assert shown.kept.runs_for(0.005) == 16
    said = f"Runs with {TRICKS[1]} are less noisy. In those, 1 helps ({TRICKS[0]}), and none hurt."
    assert (
        f"{said} A screening of the others with {TRICKS[1]}, to ±0.5 points, would take about 16 runs." in shown.answer
    )


def test_the_intervals_next_to_a_kept_trick_hold() -> None:
    found = coverage(Kind("kept", 8, 2, "calmed"), 150)
    assert found.runs == 16
    assert found.single > 0.9
    assert found.together > 0.87
