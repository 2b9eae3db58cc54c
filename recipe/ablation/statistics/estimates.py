"""Estimate differences between the rows of a table from all of its runs together. Needs no torch.

Each run is modeled as the accuracy of its row, plus a shift of its seed that all rows share, plus noise. The noise of
all rows is estimated together, so that three seeds of nine rows give 16 degrees of freedom instead of 2 for each row.

Some rows may be noisier than others, and few seeds can't tell how much. So each interval averages over hypotheses:
equal variances, with half of the weight before any evidence, and variances that vary around a common one with a scaled
inverse chi-squared distribution of few to many degrees of freedom, as in Smyth 2004 ("Linear models and empirical Bayes
methods for assessing differential expression in microarray experiments"). The weights follow from how likely each
hypothesis makes the observed variances. Unless equal variances have become unlikely, no interval is narrower than with
those.

The effects of a screening use all rows alike, so the mean variance of the rows is all that they need. Its estimate is
unbiased, and only has fewer degrees of freedom if some rows are noisier (Satterthwaite 1946, "An approximate
distribution of estimates of variance components").
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import attrs
import numpy as np
import numpy.typing as npt

from recipe.ablation.statistics.linear import inverse_of

Array = npt.NDArray[np.float64]

SIMILARITY = (32.0, 16.0, 8.0, 4.0, 2.0, 1.0)
"""The degrees of freedom with which the variances of rows may vary around a common one. Few: they differ much."""

UNEVEN = 0.2
"""The weight of equal variances, which is 0.5 without evidence, below which some rows are called noisier."""

ALIKE = 0.75
"""The part of the R rows that a contrast effectively uses, (Σu)² / RΣu² with each row's part u of its variance, above
which it uses all rows about alike. It is 1 if all parts are the same, and a little less if a few runs of a screening
are missing."""

SMALLEST = 1e-6
"""The smallest variance of a row, as a part of the common one. Few results may be equal by chance."""


@attrs.frozen(eq=False)
class Geometry:
    """How N results of R rows and S seeds determine K contrasts. It doesn't depend on the values of the results."""

    weights: Array
    """The weight of each result in each contrast: (K, N). NaN for a contrast that these results don't determine."""
    residuals: Array
    """The matrix that turns results into their residuals: (N, N)."""
    of_row: Array
    """1 for each result and its row, 0 otherwise: (N, R)."""

    @classmethod
    def of(cls, observed: npt.NDArray[np.bool_], contrasts: Array) -> Geometry:
        """Return the geometry of the results that are there, (R, S), and contrasts of the rows, (K, R)."""
        return _geometry(observed.tobytes(), observed.shape, contrasts.tobytes())

    @cached_property
    def freedom(self) -> int:
        """The degrees of freedom of the noise of all rows."""
        return round(float(np.trace(self.residuals)))

    @cached_property
    def row_freedom(self) -> Array:
        """The degrees of freedom of the noise of each row: (R,)."""
        found: Array = np.diag(self.residuals) @ self.of_row
        return np.where(found > 1e-6, found, 0.0)

    @cached_property
    def uses(self) -> Array:
        """How much of each row's variance is in the variance of each contrast: (K, R)."""
        found: Array = self.weights**2 @ self.of_row
        return found

    @cached_property
    def is_balanced(self) -> npt.NDArray[np.bool_]:
        """Whether each contrast uses all rows about alike: (K,)."""
        squares = (self.uses**2).sum(1) * self.uses.shape[1]
        found: npt.NDArray[np.bool_] = self.uses.sum(1) ** 2 > ALIKE * squares
        return found

    @cached_property
    def correlation(self) -> Array:
        """The correlation of the contrasts that are determined, if all results have the same variance."""
        weights = self.weights[~np.isnan(self.weights).any(1)]
        weights = weights / np.linalg.norm(weights, axis=1, keepdims=True)
        found: Array = weights @ weights.T
        return found


@lru_cache(8)
def _geometry(observed: bytes, shape: tuple[int, int], contrasts: bytes) -> Geometry:
    rows, seeds = np.nonzero(np.frombuffer(observed, np.bool_).reshape(shape))
    model = np.hstack([np.eye(shape[0])[rows], np.eye(shape[1])[seeds]])
    inverse = inverse_of(model)
    of_rows = np.frombuffer(contrasts).reshape(-1, shape[0])
    seen = np.bincount(seeds, minlength=shape[1]) > 0
    wanted = np.hstack([of_rows, np.outer(of_rows.sum(1), seen / max(1, seen.sum()))])
    weights = wanted @ inverse
    weights[~np.isclose(weights @ model, wanted, atol=1e-6).all(1)] = np.nan
    return Geometry(weights, np.eye(len(rows)) - model @ inverse, model[:, : shape[0]])


@attrs.frozen
class _Hypothesis:
    """How much the variances of rows may differ, and what would follow."""

    likelihood: float
    """The logarithm of the likelihood of the observed variances, apart from what all hypotheses share."""
    errors: Array
    """The standard error of each contrast: (K,)."""
    freedom: Array
    """The degrees of freedom of each standard error: (K,)."""


@attrs.frozen(eq=False)
class Fit:
    """The results of R rows under S seeds, and K linear contrasts of the rows."""

    results: Array
    """(R, S). NaN where there is none."""
    contrasts: Array
    """(K, R). Each one sums to zero, or to 1 for a mean over the seeds."""
    step: float = 0.0
    """The difference that one image makes. Rounding to it is noise too, so no row has less."""

    @cached_property
    def geometry(self) -> Geometry:
        return Geometry.of(~np.isnan(self.results), np.asarray(self.contrasts, float))

    @cached_property
    def values(self) -> Array:
        """The estimate of each contrast: (K,). NaN for one that the results don't determine."""
        found: Array = self.geometry.weights @ self._values
        return found

    @cached_property
    def variance(self) -> float | None:
        """The variance of the noise, if all rows have the same, or None if nothing is known about it."""
        total = float(self.squares.sum())
        return total / self.geometry.freedom if self.geometry.freedom and total > 1e-12 else None

    @cached_property
    def weights(self) -> Array:
        """The weight of each hypothesis, first that of equal variances. They sum to 1."""
        likelihoods = np.array([each.likelihood for each in self._hypotheses])
        before = np.array([len(SIMILARITY), *(1.0 for _ in SIMILARITY)])[: len(likelihoods)]
        found: Array = before * np.exp(likelihoods - likelihoods.max())
        found /= found.sum()
        return found

    @property
    def is_uneven(self) -> bool:
        """Whether some rows seem noisier than others."""
        return self.variance is not None and bool(self.weights[0] < UNEVEN)

    def halves(self, confidence: float) -> Array:
        """Return half the width of the interval of each contrast: (K,). NaN if it has none.

        Unless the variances are uneven, it is never narrower than with equal ones. So intervals hold as often as they
        say if the variances are equal. A contrast that uses all rows alike needs only their mean variance, whose
        estimate is unbiased however uneven they are, and nearly so if a few runs are missing. So its interval is never
        narrower than with that estimate and its effective degrees of freedom.
        """
        if self.variance is None:
            return np.full(len(self.contrasts), np.nan)
        from scipy.special import stdtr, stdtrit

        errors = np.stack([each.errors for each in self._hypotheses])
        freedom = np.stack([each.freedom for each in self._hypotheses])
        each = stdtrit(freedom, (1 + confidence) / 2) * errors
        low, high = each.min(0), each.max(0)
        for _ in range(40):
            middle = (low + high) / 2
            too_low = self.weights @ (2 * stdtr(freedom, middle / errors) - 1) < confidence
            low, high = np.where(too_low, middle, low), np.where(too_low, high, middle)
        found: Array = (low + high) / 2
        found = found if self.is_uneven else np.maximum(found, each[0])
        robust = stdtrit(self._effective_freedom, (1 + confidence) / 2) * errors[0]
        return np.where(self.geometry.is_balanced, np.maximum(robust, found), found)

    @cached_property
    def _effective_freedom(self) -> float:
        """The degrees of freedom of the mean variance of all rows, however much their variances differ.

        This is Satterthwaite's formula with unbiased estimates of squared variances, at most that of equal variances.
        """
        freedom = self.geometry.row_freedom
        squares = self.squares[freedom > 0]
        within = float((squares**2 / (freedom[freedom > 0] + 2)).sum())
        return min(float(self.geometry.freedom), float(squares.sum()) ** 2 / within)

    @cached_property
    def _values(self) -> Array:
        return self.results[~np.isnan(self.results)]

    @cached_property
    def squares(self) -> Array:
        """The sum of the squared residuals of each row: (R,)."""
        found: Array = (self.geometry.residuals @ self._values) ** 2 @ self.geometry.of_row
        return found

    @cached_property
    def _hypotheses(self) -> tuple[_Hypothesis, ...]:
        equal = self._equal()
        few = np.count_nonzero(self.geometry.row_freedom) < 3  # two rows have the same residuals
        return (equal,) if few else (equal, *map(self._similar, SIMILARITY))

    @cached_property
    def _row_variances(self) -> tuple[Array, Array]:
        """The variances of the rows that have any, and half their degrees of freedom."""
        freedom = self.geometry.row_freedom
        known, smallest = freedom > 0, max(SMALLEST * (self.variance or 0), self.step**2 / 12)
        return np.maximum(self.squares[known] / freedom[known], smallest), freedom[known] / 2

    def _equal(self) -> _Hypothesis:
        """All rows have the same variance."""
        from scipy.special import gammaln

        (own, half), variance, geometry = self._row_variances, self.variance or 0.0, self.geometry
        likelihood = half * np.log(half * own / variance) - half * own / variance - gammaln(half) - np.log(own)
        errors = np.sqrt(variance * geometry.uses.sum(1))
        return _Hypothesis(float(likelihood.sum()), errors, np.full(len(errors), float(geometry.freedom)))

    def _similar(self, similarity: float) -> _Hypothesis:
        """The variances vary around a common one, with some degrees of freedom."""
        from scipy.special import betaln, digamma

        (own, half), geometry, rest = self._row_variances, self.geometry, similarity / 2
        logarithms = np.log(own) - digamma(half) + np.log(half)
        common = float(np.exp(logarithms.mean() + digamma(rest) - np.log(rest)))
        ratio = half * own / (rest * common)
        likelihood = half * np.log(ratio) - (half + rest) * np.log1p(ratio) - betaln(half, rest) - np.log(own)
        freedom = similarity + geometry.row_freedom
        parts = geometry.uses * (similarity * common + self.squares) / freedom
        total = parts.sum(1)
        satterthwaite = total**2 / (parts**2 @ (1 / np.minimum(freedom, geometry.freedom)))
        return _Hypothesis(float(likelihood.sum()), np.sqrt(total), np.minimum(satterthwaite, geometry.freedom))
