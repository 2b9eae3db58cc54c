"""Estimates from all rows together, compared with what scipy computes for the cases that it knows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from recipe.ablation.statistics.designs import screening
from recipe.ablation.statistics.estimates import Fit
from recipe.ablation.statistics.joint import level_of_each

ADD = np.hstack([-np.ones((4, 1)), np.eye(4)])
"""Four rows, each compared with the first one."""


def results(rows: int = 5, seeds: int = 3, spread: float = 1.0) -> np.ndarray:
    draws = np.random.default_rng(rows * seeds)
    noise = draws.normal(0, 1, (rows, seeds)) * np.geomspace(1, spread, rows)[:, None]
    return noise + draws.normal(0, 3, seeds) + np.arange(rows)[:, None]


def test_two_rows_have_the_interval_of_a_paired_t_test() -> None:
    values = results(2, 4)
    fit = Fit(values, np.array([[-1.0, 1.0]]))
    low, high = stats.ttest_rel(values[1], values[0]).confidence_interval(0.95)
    assert fit.values[0] == pytest.approx((low + high) / 2)
    assert fit.halves(0.95)[0] == pytest.approx((high - low) / 2)


def test_rows_share_their_noise_and_seeds_are_blocks() -> None:
    values = results()
    fit = Fit(values, ADD)
    residuals = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    assert fit.geometry.freedom == 8
    assert fit.variance == pytest.approx((residuals**2).sum() / 8)
    assert fit.values == pytest.approx(values.mean(1)[1:] - values.mean(1)[0])
    shifted = Fit(values + np.array([5.0, -2, 0]), ADD)
    assert shifted.halves(0.95) == pytest.approx(fit.halves(0.95))


def test_a_contrast_of_all_rows_has_the_freedom_of_their_mean_variance() -> None:
    signs = np.resize([-1.0, 1.0], 8)
    values = np.random.default_rng(1).normal(0, 1, (8, 3)) * np.repeat([20.0, 1.0], 4)[:, None]
    fit = Fit(values, np.stack([signs / 4, np.eye(8)[0] - np.eye(8)[1]]))
    assert fit.geometry.is_balanced.tolist() == [True, False]
    squares = (values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()) ** 2
    freedom = squares.sum() ** 2 / (squares.sum(1) ** 2 / (14 / 8 + 2)).sum()
    assert 3 < freedom < 10
    assert fit.geometry.freedom == 14
    expected = stats.t.ppf(0.975, freedom) * np.sqrt(squares.sum() / 14 * 8 / 16 / 3)
    assert fit.halves(0.95)[0] == pytest.approx(expected, rel=1e-3)


def test_a_missing_run_hardly_changes_the_freedom_of_a_contrast_of_all_rows() -> None:
    contrasts = screening(8).contrasts
    values = np.random.default_rng(1).normal(0, 1, (16, 2)) * np.repeat([4.0, 1.0], 8)[:, None]
    whole, values[5, 1] = Fit(values.copy(), contrasts), np.nan
    fit = Fit(values, contrasts)
    assert fit.geometry.is_balanced.all()
    assert whole.variance is not None
    assert fit.variance is not None
    factors = [
        each.halves(0.95) / np.sqrt(each.variance * each.geometry.uses.sum(1))  # type: ignore[operator]
        for each in (whole, fit)
    ]
    assert factors[1] == pytest.approx(factors[0], rel=0.03)
    assert not Fit(values, np.eye(15, 16, 1) - np.eye(15, 16)).geometry.is_balanced.any()


def test_a_contrast_of_all_rows_never_has_more_freedom_than_there_is() -> None:
    values = np.stack([results(8, 3).mean(0) + np.array([at, -at, 0]) for at in np.resize([-1.0, 1.0], 8)])
    fit = Fit(values, np.resize([-0.25, 0.25], 8)[None])
    assert fit.variance is not None
    assert fit.halves(0.95)[0] >= stats.t.ppf(0.975, 14) * np.sqrt(fit.variance * 8 / 16 / 3) * (1 - 1e-9)


@pytest.mark.parametrize(("rows", "seeds"), [(32, 64), (9, 200), (16, 100)])
def test_many_runs_determine_every_contrast(rows: int, seeds: int) -> None:
    signs = np.resize([-1.0, 1.0], rows)
    values = np.random.default_rng(0).normal(0, 1, (rows, seeds))
    fit = Fit(values, np.stack([2 * signs / rows, np.eye(rows)[0] - np.eye(rows)[1]]))
    assert fit.values == pytest.approx([2 * (signs @ values.mean(1)) / rows, values[0].mean() - values[1].mean()])
    assert fit.geometry.freedom == (rows - 1) * (seeds - 1)
    assert fit.halves(0.95)[0] == pytest.approx(2 * 1.96 / np.sqrt(rows * seeds), rel=0.05)


def test_with_equal_variances_the_interval_is_nearly_that_of_the_pooled_variance() -> None:
    fit = Fit(results(40, 6), np.hstack([-np.ones((39, 1)), np.eye(39)]))
    assert fit.variance is not None
    pooled = stats.t.ppf(0.975, fit.geometry.freedom) * np.sqrt(2 * fit.variance / 6)
    assert fit.weights[0] > 0.6
    assert fit.halves(0.95) == pytest.approx(np.full(39, pooled), rel=0.1)


def test_noisier_rows_have_wider_intervals() -> None:
    fit = Fit(results(12, 12, spread=8), np.hstack([-np.ones((11, 1)), np.eye(11)]))
    halves = fit.halves(0.95)
    assert fit.weights[0] < 0.01
    assert halves[-1] > 3 * halves[0]


def test_missing_results_are_left_out() -> None:
    values = results()
    values[2, 0] = np.nan
    fit = Fit(values, ADD)
    assert fit.geometry.freedom == 7
    others = values[:, 1:]
    shift = values[[0, 1, 3, 4], 0].mean() - others[[0, 1, 3, 4]].mean()  # what the rest says about the first seed
    assert fit.values[0] == pytest.approx(values[1].mean() - values[0].mean())
    assert fit.values[1] == pytest.approx(others[2].mean() - (values[0].sum() - shift) / 3)
    assert fit.halves(0.95)[1] > fit.halves(0.95)[0]


def test_a_contrast_that_the_results_do_not_determine_is_nan() -> None:
    values = results()
    values[1] = np.nan
    fit = Fit(values, ADD)
    assert np.isnan(fit.values).tolist() == np.isnan(fit.halves(0.95)).tolist() == [True, False, False, False]
    apart = np.array([[1.0, np.nan], [np.nan, 2.0]])  # nothing tells the row from the seed
    assert np.isnan(Fit(apart, np.array([[-1.0, 1.0]])).values).all()


def test_there_is_no_interval_without_noise() -> None:
    for values in (np.ones((5, 3)), results(5, 1)):
        fit = Fit(values, ADD)
        assert fit.variance is None
        assert np.isnan(fit.halves(0.95)).all()
        assert not np.isnan(fit.values).any()


@pytest.mark.parametrize("freedom", [4, 16])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_confidence_of_each_is_that_of_a_multivariate_t(correlation: float, freedom: int) -> None:
    shape = np.full((5, 5), correlation) + (1 - correlation) * np.eye(5)
    confidence = level_of_each(0.95, shape, freedom)
    limit = np.full(5, stats.t.ppf((1 + confidence) / 2, freedom))
    together = stats.multivariate_t(shape=shape, df=freedom, seed=0).cdf(limit, lower_limit=-limit)
    assert together == pytest.approx(0.95, abs=0.0015)
    assert 0.95 < confidence < 1 - 0.05 / 5 + 0.001


def test_a_single_estimate_and_equal_ones_need_no_more_than_one() -> None:
    assert level_of_each(0.95, np.ones((1, 1)), 5) == 0.95
    assert level_of_each(0.95, np.ones((3, 3)), 5) == pytest.approx(0.95, abs=0.001)


def test_stack_needs_less_than_the_bound_of_bonferroni() -> None:
    rows = Fit(results(9), np.eye(8, 9, 1) - np.eye(8, 9))
    assert rows.geometry.correlation[0, 1] == pytest.approx(-0.5)
    assert 0.95 < level_of_each(0.95, rows.geometry.correlation, 16) < 1 - 0.05 / 8
