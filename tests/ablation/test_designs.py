"""The screening designs: their sizes, their orthogonality, and what can't be told apart."""

from __future__ import annotations

import itertools

import attrs
import numpy as np
import pytest

from recipe.ablation.statistics.designs import Design, screening

FEW, MANY = [2, 3, 4, 5, 7, 8, 11, 12, 16, 20], [24, 25, 27, 28, 36]


@pytest.mark.parametrize("tricks", FEW + MANY)
@pytest.mark.parametrize("resolution", [3, 4])
def test_columns_are_balanced_and_orthogonal_and_rows_differ(tricks: int, resolution: int) -> None:
    levels = np.where(screening(tricks, resolution).levels, 1, -1)
    size = len(levels)
    assert (levels.T @ levels == size * np.eye(tricks)).all()
    assert (levels.sum(0) == 0).all()
    assert len({*map(tuple, levels)}) == size
    assert (levels[0] == -1).all(), "the first combination has no trick"


def test_the_number_of_combinations_is_that_of_the_smallest_matrix() -> None:
    folded = {2: 4, 3: 8, 4: 8, 5: 16, 8: 16, 9: 24, 12: 24, 13: 32, 16: 32, 17: 40, 20: 40}
    assert {tricks: len(screening(tricks).levels) for tricks in folded} == folded
    single = {2: 4, 3: 4, 4: 8, 7: 8, 8: 12, 11: 12, 12: 16, 16: 20, 19: 20, 24: 32}
    assert {tricks: len(screening(tricks, 3).levels) for tricks in single} == single


@pytest.mark.parametrize("tricks", FEW)
def test_with_resolution_4_no_effect_includes_an_interaction(tricks: int) -> None:
    assert (screening(tricks).aliases == 0).all()


def test_with_resolution_3_effects_include_interactions() -> None:
    aliases = np.abs(screening(7, 3).aliases)
    assert aliases.sum(0) == pytest.approx(np.ones(21)), "each pair is in the effect of one trick"
    assert np.unique(np.round(np.abs(screening(11, 3).aliases), 6)).tolist() == [0, 0.333333]


def test_an_effect_is_the_difference_of_means() -> None:
    design = screening(6)
    results = np.random.default_rng(0).normal(size=len(design.levels))
    expected = [results[on].mean() - results[~on].mean() for on in design.levels.T]
    assert design.contrasts @ results == pytest.approx(expected)


@pytest.mark.parametrize(("tricks", "resolution", "lost"), [(6, 4, 2), (5, 3, 1)])
def test_contrasts_recover_the_effects_of_any_design(tricks: int, resolution: int, lost: int) -> None:
    design = screening(tricks, resolution)
    design = design.kept(np.arange(len(design.levels)) >= lost)
    effects = np.arange(1.0, tricks + 1)
    assert design.contrasts @ (7 + design.levels @ effects) == pytest.approx(effects)


@pytest.mark.parametrize("lost", [0, 2])
def test_averages_are_over_the_other_tricks_on_and_off(lost: int) -> None:
    design = screening(6)
    design = design.kept(np.arange(len(design.levels)) >= lost)
    effects = np.arange(1.0, 7)
    results = 7 + design.levels @ effects
    without, having = design.averages @ results
    assert without == pytest.approx(7 + (effects.sum() - effects) / 2)
    assert having - without == pytest.approx(effects)


def test_the_four_means_of_two_tricks_are_those_of_their_rows() -> None:
    design = screening(4)
    results = np.random.default_rng(0).normal(size=len(design.levels))
    a, b = design.levels[:, 1], design.levels[:, 3]
    expected = [results[(a == on) & (b == other)].mean() for other in (False, True) for on in (False, True)]
    assert design.means((1, 3)) @ results == pytest.approx(expected)
    neither, one, other, both = design.means((1, 3))
    assert both - one - other + neither == pytest.approx(design.groups[design.pairs.index((0, 2))].led_by(1).weights)


def test_what_rows_do_not_determine_has_no_averages() -> None:
    levels = screening(4).levels
    always = Design(levels[levels[:, 0]], 4, "", 8)
    known = ~np.isnan(always.averages).any(2)
    assert known.tolist() == [[False] * 4, [True, False, False, False]], "only the mean with the first trick is"
    assert np.isnan(always.means((1, 2))).all()
    assert always.kept(np.zeros(4, bool)).undetermined == [0, 1, 2, 3]


def test_a_group_estimates_how_much_more_a_trick_does_with_another_one() -> None:
    design = screening(8)
    pairs = [pair for group in design.groups for pair in group.pairs]
    assert sorted(pairs) == list(itertools.combinations(range(8), 2))
    assert [len(group.pairs) for group in design.groups] == [4] * 7
    for group in design.groups:
        for (a, b), factor in zip(group.pairs, group.factors, strict=True):
            results = 3 + design.levels @ np.arange(8.0) + 5 * (design.levels[:, a] & design.levels[:, b])
            assert group.weights @ results == pytest.approx(5 * factor)
            assert abs(factor) == pytest.approx(1)


def test_interactions_that_effects_explain_are_in_no_group() -> None:
    assert screening(7, 3).groups == ()
    assert len(screening(3).groups) == 3


def test_tricks_that_are_always_on_together_are_undetermined() -> None:
    levels = screening(4).levels.copy()
    levels[:, 2] = levels[:, 0]
    twins = Design(levels, 4, "", 8)
    assert twins.undetermined == [0, 2]
    assert np.isfinite(twins.contrasts[[1, 3]]).all()
    assert attrs.evolve(twins, levels=screening(4).levels).undetermined == []
