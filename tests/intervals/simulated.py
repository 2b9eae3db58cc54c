"""Simulated ablations with known effects.

A result is the accuracy of its row, plus a shift of its seed, plus normal noise with a standard deviation of half a
point. Unless rows are equally noisy, either their deviations are evenly spaced from half a point to two points on a
logarithmic scale, in random order, or only the first row has two points, or all rows without the first trick. In tables
of related rows, half of the variance of the noise is common to the rows of the first half, and to those of the second
half.

In the mode ``kept``, the first trick helps, and the estimates are the effects of the others in the runs with it, which
are shown if those are less noisy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

import attrs
import numpy as np
import numpy.typing as npt

from recipe.ablation.report.effects import Effects
from recipe.ablation.report.kept import kept
from recipe.ablation.rows.combinations import SEEDS as SCREENED
from recipe.ablation.rows.variants import Unit
from recipe.ablation.statistics.analysis import Analysis
from recipe.ablation.statistics.designs import screening
from recipe.ablation.statistics.looks import Look, Until
from recipe.ablation.statistics.results import Cell, Contrast, Line

Array = npt.NDArray[np.float64]

NOISE, SHIFT, MOST = 0.005, 0.01, 4.0
"""The standard deviations of noise and of the seeds' shifts, and the largest noise, as a multiple of the smallest."""

NOISES = {
    "equal": "equally noisy",
    "spread": f"deviations up to {MOST:g}:1",
    "first": f"the first row {MOST:g} times as noisy",
    "related": "related rows",
    "calmed": f"{MOST:g} times as noisy without the first trick",
}
"""How the rows differ in their noise, in words."""

HELPS = 0.07
"""The effect of the first trick in the mode ``kept``."""

FIRST = 3
"""The seeds at the first look, but for a screening."""


@attrs.frozen
class Kind:
    """A kind of tables. With ``until`` (points), ``seeds`` is the most that it allows."""

    mode: str
    tricks: int
    seeds: int
    noise: str = "equal"
    until: float | None = None

    def __str__(self) -> str:
        seeds = f"{self.seeds} seeds" if self.until is None else f"until ±{self.until:g}"
        return f"{self.mode}, {self.tricks} tricks, {seeds}, {NOISES[self.noise]}"

    @property
    def is_screening(self) -> bool:
        return self.mode in ("screen", "kept")

    @property
    def rows(self) -> int:
        return len(self.levels)

    @cached_property
    def levels(self) -> npt.NDArray[np.bool_]:
        """Which tricks are on in each row: (rows, tricks)."""
        if self.is_screening:
            return screening(self.tricks).levels
        if self.mode == "stack":
            return np.tri(self.tricks + 1, self.tricks, -1, dtype=bool)
        return np.vstack([np.zeros(self.tricks, bool), np.eye(self.tricks, dtype=bool)])

    @cached_property
    def contrasts(self) -> tuple[Contrast, ...]:
        """What is estimated for each trick."""
        if self.is_screening:
            weights = screening(self.tricks).contrasts
        else:
            unit = np.eye(self.rows)
            weights = unit[1:] - (unit[:-1] if self.mode == "stack" else unit[0])
        return tuple(Contrast(f"trick {at}", tuple(each)) for at, each in enumerate(weights.tolist()))

    def drawn(self, count: int, seed: int = 0) -> Iterator[tuple[Array, Array]]:
        """Yield results in which nothing helps, (rows, seeds), and effects of tricks to add to them."""
        order = [*NOISES].index(self.noise)
        draws = np.random.default_rng([seed, self.tricks, self.seeds, order, len(self.mode)])
        for _ in range(count):
            results = 0.8 + draws.normal(0, SHIFT, self.seeds) + self._noise(draws)
            effects = draws.normal(0, 0.02, self.tricks)
            if self.mode == "kept":
                effects[0] = HELPS
            yield results, effects

    def _noise(self, draws: np.random.Generator) -> Array:
        """Return the noise of each row under each seed."""
        noise = NOISE * draws.normal(0, 1, (self.rows, self.seeds))
        if self.noise == "spread":
            noise *= draws.permutation(np.geomspace(1, MOST, self.rows))[:, None]
        elif self.noise == "first":
            noise[0] *= MOST
        elif self.noise == "calmed":
            noise[~self.levels[:, 0]] *= MOST
        elif self.noise == "related":
            common = NOISE * draws.normal(0, 1, (2, self.seeds))
            noise = (noise + common[np.arange(self.rows) * 2 // self.rows]) / math.sqrt(2)
        return noise

    def with_effects(self, results: Array, effects: Array) -> Array:
        """Return results to whose rows the effects of their tricks are added."""
        return results + (self.levels @ effects)[:, None]

    def estimated(self, effects: Array) -> Array:
        """Return the effects that are estimated."""
        return effects[1:] if self.mode == "kept" else effects

    def analysed(self, results: Array) -> tuple[Analysis | None, int]:
        """Return what an ablation says about results, if anything, and how many of them it used."""
        if self.mode == "kept":
            half = kept(Effects(self._units, screening(self.tricks), self._lines(results), {}, lambda on: ()))
            right = half is not None and half.on and half.label == self._units[0].label
            return half.found.analysis if half is not None and right else None, results.size // 2
        if self.until is None:
            return self._analysis(results, None), results.size
        look = Until(self.until / 100, SCREENED if self.mode == "screen" else FIRST, self.seeds).begin(self.rows)
        while True:
            analysis = self._analysis(results, look)
            if (following := look.after(analysis, removed=False)) is None:
                return analysis, sum(look.seeds)
            look = following

    @property
    def _units(self) -> tuple[Unit, ...]:
        return tuple(Unit(f"trick {at}", (), ()) for at in range(self.tricks))

    def _analysis(self, results: Array, look: Look | None) -> Analysis:
        return Analysis(self._lines(results, look), self.contrasts, {}, *([look.confidence] if look else []))

    def _lines(self, results: Array, look: Look | None = None) -> tuple[Line, ...]:
        seeds = look.seeds if look else (results.shape[1],) * len(results)
        lines = []
        for at, (row, count) in enumerate(zip(results.tolist(), seeds, strict=True)):
            cells = [Cell(f"{at}/{seed}", seed, "finished", top1) for seed, top1 in enumerate(row[:count])]
            cells += [Cell(f"{at}/{seed}", seed, "left") for seed in range(count, max(seeds))]
            lines.append(Line(f"row {at}", None, (), 1, 1, tuple(cells)))
        return tuple(lines)
