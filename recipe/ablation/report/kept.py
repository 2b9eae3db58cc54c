"""The effects of tricks next to one that is better kept, in the runs that have it. Needs no torch.

A trick may help and also make runs less noisy. Then the runs without it hide the effects of the others, and nobody
would train without it. The runs with it are a screening of the others, with half as many runs and less noise.
"""

from __future__ import annotations

import attrs

from recipe.ablation.report.effects import Effects
from recipe.ablation.report.findings import Effect
from recipe.ablation.rows.combinations import Choice
from recipe.ablation.statistics.analysis import MOST_SEEDS, seeds_needed
from recipe.ablation.statistics.designs import screening


@attrs.frozen(eq=False)
class Kept:
    """What the runs with a trick, or without it, say about the others."""

    label: str
    """The trick that is kept on or off."""
    on: bool
    found: Effects
    """The effects of the other tricks in those runs."""

    @property
    def where(self) -> str:
        """Which runs they are: ``with`` or ``without`` the trick."""
        return f"{'with' if self.on else 'without'} {self.label}"

    @property
    def statements(self) -> tuple[str, ...]:
        """What to lay over the recipe to keep it, with none of the other tricks."""
        return self.found.statements((False,) * len(self.found.units)) or ()

    @property
    def runs(self) -> int:
        """The number of runs with results."""
        return sum(len(line.results) for line in self.found.lines)

    def runs_for(self, half: float) -> int | None:
        """Return how many runs a new screening of the others takes until all intervals are ± ``half`` or narrower.

        Returns None if it takes too many.
        """
        design, variance = screening(max(2, len(self.found.units))), self.found.analysis.variance
        seeds = MOST_SEEDS if variance is None else seeds_needed(design.contrasts, variance, half)
        return seeds * len(design.levels) if seeds < MOST_SEEDS else None


def kept(found: Effects) -> Kept | None:
    """Return what follows if a trick is kept on because it helps, or off because it hurts, and runs are less noisy so.

    Of several such tricks, it is that with the largest effect. Returns None if there is none, or if its runs don't
    determine the effects of the others.
    """
    noise = {each.label: each for each in found.noise}
    for effect in found.by_size:
        if effect.stands_out and (differs := noise.get(effect.label)) is not None:
            on = effect.verdict == "helps"
            half = _half(found, found.all.index(effect), on)
            if on == (differs.on < differs.off) and half.analysis.freedom and _is_known(half.all):
                return Kept(effect.label, on, half)
    return None


def _half(found: Effects, at: int, on: bool) -> Effects:
    """Return the effects of the other tricks in the rows that have a trick, or in those that don't."""
    rows = found.design.levels[:, at] == on
    others = [other for other in range(len(found.units)) if other != at]
    design = attrs.evolve(
        found.design, levels=found.design.levels[rows][:, others], resolution=3, size=found.design.size // 2
    )

    def statements(choice: Choice) -> tuple[str, ...] | None:
        return found.statements((*choice[:at], on, *choice[at:]))

    lines = tuple(line for line, is_in in zip(found.lines, rows.tolist(), strict=True) if is_in)
    units = tuple(found.units[other] for other in others)
    return Effects(units, design, lines, found.correct, statements, found.confidence)


def _is_known(effects: tuple[Effect, ...]) -> bool:
    return all(effect.estimate is not None for effect in effects)
