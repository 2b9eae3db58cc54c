"""When an ablation has enough seeds: looks at its results, and what repeated looks cost. Needs no torch.

Whoever looks at intervals until they are as wished is wrong more often than in 5 % of cases. So the looks share the
5 %: the first one takes a quarter of it, the second one a half, and each further one a half of what is left. A look
after which no row may get more seeds takes all that is left. Since the parts sum to the whole, the intervals of all
looks hold together with the stated confidence (Bonferroni's inequality), wherever the looks end.

What happens after a look follows from the results alone, so an interrupted ablation takes the same looks again.
"""

from __future__ import annotations

import math

import attrs

from recipe.ablation.statistics.analysis import Analysis
from recipe.ablation.statistics.results import CONFIDENCE, Contrast, Estimate
from recipe.base.caller import option
from recipe.base.errors import fail
from recipe.base.wording import plural

FIRST, SECOND = 0.25, 0.5
"""The parts of the error that the first two looks take."""

AIM = 0.95
"""The part of the wanted half-width at which the seeds of the next look aim, since the noise is known only roughly."""

MOST_SEEDS = 20
"""The default of the most seeds of a row."""


@attrs.frozen
class Until:
    """How narrow the intervals should become, and what they may cost."""

    half: float
    """The half-width that every interval should have, as a fraction."""
    first: int
    """The seeds of each row at the first look, at least 2."""
    most: int
    """The most seeds of each row."""

    def begin(self, rows: int) -> Look:
        """Return the first look at some rows."""
        return self.look(1, (min(self.first, self.most),) * rows, self.first >= self.most)

    def look(self, number: int, seeds: tuple[int, ...], is_last: bool) -> Look:
        """Return the look of some number, with its part of the error."""
        parts = {1: (FIRST, 1.0), 2: (SECOND, 1 - FIRST)}
        rest = (1 - FIRST - SECOND) * 0.5 ** (number - 3)  # before a third or later look
        part, left = parts.get(number, (rest / 2, rest))
        return Look(self, number, seeds, 1 - (1 - CONFIDENCE) * (left if is_last else part), is_last)

    def is_settled(self, estimate: Estimate, removed: bool) -> bool:
        """Whether an interval is narrow enough, or the trick can't gain as much as its half-width should be.

        Args:
            estimate: An effect of a trick.
            removed: Whether it is the difference that the removal of the trick makes.
        """
        interval = estimate.interval
        if interval is None:
            return False
        return interval.half <= self.half or (-interval.low if removed else interval.high) < self.half


@attrs.frozen
class Look:
    """A look at the results."""

    until: Until
    number: int
    """1 for the first."""
    seeds: tuple[int, ...]
    """The seeds of each row whose results it sees."""
    confidence: float
    """The confidence of its intervals."""
    is_last: bool
    """Whether no row may get more seeds afterwards, so that it takes all that is left of the error."""

    def unsettled(self, analysis: Analysis, removed: bool) -> list[tuple[Contrast, Estimate]]:
        """Return the contrasts between different runs that need more seeds, with their estimates."""
        pairs = zip(analysis.contrasts, analysis.estimates, strict=True)
        known = ((contrast, each) for contrast, each in pairs if each is not None and analysis.compares(contrast))
        return [(contrast, each) for contrast, each in known if not self.until.is_settled(each, removed)]

    def after(self, analysis: Analysis, removed: bool) -> Look | None:
        """Return the next look, or None if every trick is settled or no more seeds are allowed.

        Rows get more seeds only if they tell about a trick that isn't settled: as many as are expected to settle it.

        Args:
            analysis: The results that this look sees, with intervals of its confidence.
            removed: Whether the estimates are differences that the removal of tricks makes.
        """
        if self.is_last or not (unsettled := self.unsettled(analysis, removed)):
            return None
        names = [tuple(cell.name for cell in line.cells) for line in analysis.lines]
        seeds = dict(zip(names, self.seeds, strict=True))  # rows with the same recipe have the same runs
        wanted = dict(seeds)
        for contrast, estimate in unsettled:
            rows = [name for name, weight in zip(names, contrast.weights, strict=True) if weight]
            count = self._seeds_to_settle(analysis, estimate, min(seeds[row] for row in rows))
            wanted |= {row: max(count, wanted[row]) for row in rows}
        if wanted == seeds:  # another look at the same results would only have wider intervals
            return None
        is_last = all(count >= self.until.most for count in wanted.values())
        return self.until.look(self.number + 1, tuple(wanted[row] for row in names), is_last)

    def _seeds_to_settle(self, analysis: Analysis, estimate: Estimate, now: int) -> int:
        """Return how many seeds, more than now, are expected to make an interval narrow enough at the next look."""
        if estimate.interval is None:  # no noise was measured
            return min(2 * now, self.until.most)
        following = self.until.look(self.number + 1, self.seeds, is_last=False).confidence
        unit = estimate.interval.half * math.sqrt(now) / self._quantile(analysis, self.confidence, analysis.freedom)

        def half(seeds: int) -> float:
            freedom = analysis.freedom * (seeds - 1) / (now - 1)
            return unit / math.sqrt(seeds) * self._quantile(analysis, following, freedom)

        counts = range(now + 1, self.until.most)
        return next((seeds for seeds in counts if half(seeds) <= AIM * self.until.half), self.until.most)

    @staticmethod
    def _quantile(analysis: Analysis, confidence: float, freedom: float) -> float:
        """Return about how many standard errors an interval that holds together with all others is wide."""
        from scipy.special import stdtrit

        return float(stdtrit(freedom, 1 - (1 - confidence) / (2 * len(analysis.contrasts))))


def most_seeds(rows: int, seeds: int | None, runs: int | None) -> int:
    """Return the most seeds of each row that some options allow. Raises `RecipeError` (E127) if that is only one."""
    most = seeds or (MOST_SEEDS if runs is None else runs // rows)
    if most < 2:
        given = plural(runs, "run") if runs is not None else "one seed"
        least = plural(2 * rows, "run") if runs is not None else "two seeds"
        how = option("--runs" if runs is not None else "--seeds")
        raise fail("E127", f"{given} can't show noise in {plural(rows, 'row')}", help=f"allow {least} with {how}")
    return most
