"""The effects of tricks next to one that is better kept, in the runs that have it. Needs no torch.

A trick may help and also make runs less noisy. Then the runs without it hide the effects of the others, and nobody
would train without it. The runs with it are a screening of the others, with half as many runs and less noise.
"""

from __future__ import annotations

import math
from functools import cached_property

import attrs
import numpy as np

from recipe.ablation.report.effects import Effects
from recipe.ablation.report.findings import Best, Effect
from recipe.ablation.rows.combinations import Choice
from recipe.ablation.statistics.analysis import MOST_SEEDS, seeds_needed
from recipe.ablation.statistics.designs import Array, Levels, screening
from recipe.ablation.statistics.results import Estimate, Interval

LEAST_FREEDOM = 6
"""The fewest degrees of freedom with which the noise of the runs with a trick counts as known."""


@attrs.frozen(eq=False)
class Kept:
    """What the runs with a trick, or without it, say about the others."""

    whole: Effects
    """The effects of all tricks in all runs."""
    at: int
    """The index of the trick that is kept."""
    on: bool
    """Whether it is kept on or off."""
    found: Effects
    """The effects of the other tricks in the runs that are like that."""
    rest: Effects
    """The same in the other runs."""

    @property
    def label(self) -> str:
        """The trick that is kept."""
        return self.whole.units[self.at].label

    @property
    def where(self) -> str:
        """Which runs they are: ``with`` or ``without`` the trick."""
        return f"{'with' if self.on else 'without'} {self.label}"

    @property
    def statements(self) -> tuple[str, ...]:
        """What to lay over the recipe to keep it. The other tricks stay as they are, so that they keep their values."""
        others = {f"drop {word}" for unit in self.found.units for word in unit.words}
        alone = self.found.statements((False,) * len(self.found.units)) or ()
        return tuple(statement for statement in alone if statement not in others)

    @property
    def runs(self) -> int:
        """The number of runs with results."""
        return sum(len(line.results) for line in self.found.lines)

    @property
    def seconds(self) -> float | None:
        """How long the epochs of one of these runs take, as a mean over the rows, or None if that isn't known."""
        known = [line.seconds for line in self.found.lines if line.seconds is not None]
        return math.fsum(known) / len(known) if known else None

    def runs_for(self, half: float) -> int | None:
        """Return how many runs a new screening of the others takes until all intervals are ± ``half`` or narrower.

        Returns None if it takes too many.
        """
        design, variance = screening(len(self.found.units)), self.found.analysis.variance
        seeds = MOST_SEEDS if variance is None else seeds_needed(design.contrasts, variance, half)
        return seeds * len(design.levels) if seeds < MOST_SEEDS else None

    @cached_property
    def best(self) -> Best | None:
        """The best combination that keeps the trick, by the effects next to it.

        It is None if the other runs don't predict the top-1 with none of the tricks under the same seeds.
        """
        best, none = self.found.best, (False,) * len(self.found.units)
        if best is None or not _is_known(self.rest) or _seeds(self.found) != _seeds(self.rest):
            return None
        gain = best.gain
        if self.on:
            without = self.rest.top1_of(none)
            if without is None:
                return None
            gain = _difference(best.estimate, without)
        on = (*best.on[: self.at], self.on, *best.on[self.at :])
        return self.whole.named(on, best.statements, best.estimate, gain)

    def predicted(self, levels: Levels) -> Array:
        """Return the predicted top-1 of some combinations of all tricks, each by the runs that are like it."""
        kept = levels[:, self.at] == self.on
        others = np.delete(levels, self.at, axis=1)
        return np.where(kept, self.found.predicted(others), self.rest.predicted(others))


def kept(found: Effects) -> Kept | None:
    """Return what follows if a trick is kept on because it helps, or off because it hurts, and runs are less noisy so.

    Of several such tricks, it is that with the largest effect. Returns None without such a trick, if its runs don't
    determine the effects of the others or show no noise, or if there is only one other trick, which is no screening.
    """
    if len(found.units) < 3:
        return None
    noise = {each.label: each for each in found.noise}
    for effect in found.by_size:
        if effect.stands_out and (differs := noise.get(effect.label)) is not None:
            at, on = found.all.index(effect), effect.verdict == "helps"
            half = _half(found, at, on)
            known = _is_known(half) and half.analysis.freedom >= LEAST_FREEDOM
            if on == (differs.on < differs.off) and known:
                return Kept(found, at, on, half, _half(found, at, not on))
    return None


def _half(found: Effects, at: int, on: bool) -> Effects:
    """Return the effects of the other tricks in the rows that have a trick, or in those that don't."""
    rows = found.design.levels[:, at] == on
    levels = np.delete(found.design.levels[rows], at, axis=1)
    design = attrs.evolve(found.design, levels=levels, resolution=3, size=found.design.size // 2)

    def statements(choice: Choice) -> tuple[str, ...] | None:
        return found.statements((*choice[:at], on, *choice[at:]))

    lines = tuple(line for line, is_in in zip(found.lines, rows.tolist(), strict=True) if is_in)
    units = tuple(unit for other, unit in enumerate(found.units) if other != at)
    return Effects(units, design, lines, found.correct, statements, found.confidence)


def _is_known(found: Effects) -> bool:
    """Whether all effects have intervals."""
    known: list[Effect] = [effect for effect in found.all if effect.estimate and effect.estimate.interval]
    return len(known) == len(found.units)


def _seeds(found: Effects) -> set[int]:
    """Return the seeds under which some row has a result."""
    return {cell.seed for line in found.lines for cell in line.cells if cell.top1 is not None}


def _difference(one: Estimate, other: Estimate) -> Estimate:
    """Return the difference of two estimates from different runs."""
    mean, interval = one.mean - other.mean, None
    if one.single is not None and other.single is not None:
        interval = Interval.around(mean, math.hypot(one.single.half, other.single.half))
    return Estimate(mean, interval, interval, seeds=min(one.seeds, other.seeds))
