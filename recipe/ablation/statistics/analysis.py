"""What the results of all rows together say about each trick. Needs no torch."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping
from functools import cached_property

import attrs
import numpy as np
import numpy.typing as npt

from recipe.ablation.statistics.estimates import Fit
from recipe.ablation.statistics.joint import level_of_each
from recipe.ablation.statistics.results import CONFIDENCE, Contrast, Estimate, Interval, Line, own_interval

MOST_SEEDS = 1_000

Array = npt.NDArray[np.float64]


@attrs.frozen(eq=False)
class Analysis:
    """The estimates of contrasts between rows."""

    lines: tuple[Line, ...]
    contrasts: tuple[Contrast, ...]
    correct: Mapping[str, npt.NDArray[np.bool_]]
    """Which held-out images each run classified correctly, by the name of its cell, where that is known."""
    confidence: float = CONFIDENCE
    """The confidence of the intervals."""

    @cached_property
    def estimates(self) -> tuple[Estimate | None, ...]:
        """The estimate of each contrast, or None where the results don't determine it."""
        return tuple(self._estimated())

    @property
    def freedom(self) -> int:
        """The degrees of freedom of the noise of all rows."""
        return self._fit.geometry.freedom

    @property
    def variance(self) -> float | None:
        """The variance of the noise, if all rows have the same, or None if nothing is known about it."""
        return self._fit.variance

    @property
    def is_uneven(self) -> bool:
        """Whether some rows seem noisier than others."""
        return self._fit.is_uneven

    @property
    def is_balanced(self) -> bool:
        """Whether each contrast uses all rows alike, so that its interval holds however noisy each row is."""
        return bool(self._fit.geometry.is_balanced.all())

    @property
    def widest(self) -> float | None:
        """Half the width of the widest interval, or None if there is none."""
        intervals = [estimate.interval for estimate in self.estimates if estimate is not None]
        return max((interval.half for interval in intervals if interval is not None), default=None)

    def seeds_for(self, half: float) -> int | None:
        """Return how many seeds make all intervals as narrow as ± ``half``, at most `MOST_SEEDS`.

        Returns None if nothing is known about the noise. All rows are taken to be equally noisy.
        """
        if not len(self._fit.contrasts) or self.variance is None:
            return None
        return seeds_needed(self._fit.contrasts, self.variance, half)

    def _estimated(self) -> Iterator[Estimate | None]:
        fit = self._fit
        joint = np.full(len(fit.contrasts), np.nan)
        if fit.geometry.freedom:
            joint = fit.halves(level_of_each(self.confidence, fit.geometry.correlation, fit.geometry.freedom))
        found = zip(fit.values, joint, fit.halves(self.confidence), self._images(), strict=True)
        for contrast, weights in zip(self.contrasts, self._weights, strict=True):
            by_seed = self._by_seed(contrast)
            if not weights.any():  # its rows are the same runs
                yield Estimate(0.0, seeds=len(by_seed)) if by_seed else None
                continue
            mean, of_all, alone, images = map(float, next(found))
            if math.isnan(mean):
                yield None
                continue
            own = own_interval(by_seed, self.confidence)
            intervals = Interval.around(mean, of_all), Interval.around(mean, alone), own
            yield Estimate(mean, *intervals, None if math.isnan(images) else images, len(by_seed))

    def compares(self, contrast: Contrast) -> bool:
        """Whether a contrast is about rows with different runs."""
        return bool(self._weights[self.contrasts.index(contrast)].any())

    def runs_for(self, seeds: int) -> int:
        """Return how many more runs it takes until each row has some number of seeds. Rows may share their runs."""
        return sum(max(0, seeds - len(line.needed)) for line in self._distinct)

    def seconds_for(self, seeds: int) -> float | None:
        """Return how long the epochs of those runs take, one after the other, or None if that isn't known."""
        more = [(count, line.seconds) for line in self._distinct if (count := seeds - len(line.needed)) > 0]
        known = [count * each for count, each in more if each is not None]
        return math.fsum(known) if len(known) == len(more) else None

    @property
    def _distinct(self) -> list[Line]:
        """The rows without those that have the same runs as another one."""
        return [*{tuple(cell.name for cell in line.cells): line for line in self.lines}.values()]

    @cached_property
    def _rows(self) -> tuple[tuple[str, ...], ...]:
        """The names of the cells of each distinct row."""
        return tuple(dict.fromkeys(tuple(cell.name for cell in line.cells) for line in self.lines))

    @cached_property
    def _weights(self) -> Array:
        """The weight of each distinct row in each contrast."""
        names = [tuple(cell.name for cell in line.cells) for line in self.lines]
        of_row = np.array([[float(name == row) for row in self._rows] for name in names])
        weights: Array = np.array([contrast.weights for contrast in self.contrasts]).reshape(-1, len(names)) @ of_row
        return weights

    @cached_property
    def _fit(self) -> Fit:
        top1 = {cell.name: cell.top1 for line in self.lines for cell in line.cells}
        results = np.array([[top1[name] for name in row] for row in self._rows], float)
        step = 1 / max((len(correct) for correct in self.correct.values()), default=1)
        weights = self._weights[self._weights.any(1)]
        return Fit(results.reshape(len(self._rows), -1), weights, step if self.correct else 0.0)

    def _by_seed(self, contrast: Contrast) -> list[float]:
        """Return a contrast under each seed for which all of its rows have results."""
        used = [(weight, line.values) for weight, line in zip(contrast.weights, self.lines, strict=True) if weight]
        seeds = range(max((len(values) for _, values in used), default=0))
        parts = ([(weight, values[at]) for weight, values in used] for at in seeds)
        known = ([(weight, value) for weight, value in part if value is not None] for part in parts)
        return [math.fsum(weight * value for weight, value in part) for part in known if len(part) == len(used)]

    def _images(self) -> Array:
        """Return half the normal interval of each estimate over other held-out images, NaN where that isn't known."""
        fit = self._fit
        finished = [self._rows[row][seed] for row, seed in np.argwhere(~np.isnan(fit.results))]
        images = min((len(self.correct.get(name, ())) for name in finished), default=0)
        if images < 2:
            return np.full(len(fit.contrasts), np.nan)
        return halves_over_images(
            fit.geometry.weights @ np.stack([self.correct[name] for name in finished]).astype(float)
        )


def seeds_needed(contrasts: Array, variance: float, half: float) -> int:
    """Return how many seeds make the intervals of all contrasts as narrow as ± ``half``: 2 to `MOST_SEEDS`.

    Args:
        contrasts: K contrasts of R rows that have all seeds, (K, R).
        variance: The variance of the noise of each row.
        half: Half the width of the widest interval. All hold together.
    """
    from scipy.special import stdtrit

    lengths = np.linalg.norm(contrasts, axis=1)
    scaled = contrasts / lengths[:, None]

    def width(seeds: int) -> float:
        freedom = (contrasts.shape[1] - 1) * (seeds - 1)
        confidence = level_of_each(CONFIDENCE, scaled @ scaled.T, freedom)
        return float(stdtrit(freedom, (1 + confidence) / 2) * lengths.max() * math.sqrt(variance / seeds))

    return bisect.bisect_left(range(MOST_SEEDS), -half, 2, key=lambda seeds: -width(seeds))


def halves_over_images(by_image: Array) -> Array:
    """Return half the normal intervals of means over other images of the same kind, from values per image: (…, N)."""
    from scipy.special import ndtri

    factor = float(ndtri((1 + CONFIDENCE) / 2)) / math.sqrt(by_image.shape[-1])
    halves: Array = factor * by_image.std(-1, ddof=1)
    return halves
