"""What a screening can find: effects of tricks, interactions, noise, and the best combination. Needs no torch."""

from __future__ import annotations

import attrs

from recipe.ablation.report.words import ends
from recipe.ablation.rows.combinations import Choice
from recipe.ablation.statistics.results import Estimate


@attrs.frozen
class Alias:
    """An interaction of two tricks that is part of an effect, and how much of it: from -1 to 1."""

    tricks: tuple[str, str]
    share: float

    @property
    def size(self) -> float:
        return abs(self.share)


@attrs.frozen
class Effect:
    """How much a trick changes the top-1, averaged over the other tricks on and off."""

    label: str
    statements: tuple[str, ...]
    estimate: Estimate | None
    """None if the results don't determine it."""
    inflation: float | None
    """Its standard error, as a multiple of that in the orthogonal design with all results."""
    aliases: tuple[Alias, ...]
    runs: tuple[int, int]
    """The finished runs with the trick and without it."""
    seconds: float | None = None
    """What it adds to the seconds per epoch, as a fraction, averaged over the other tricks on and off."""
    macs: float | None = None
    """What it adds to the MACs, as a fraction, averaged over the other tricks on and off."""

    @property
    def verdict(self) -> str:
        """``helps``, ``hurts``, ``within noise``, or nothing if there is no interval."""
        return "" if self.estimate is None else self.estimate.verdict()

    @property
    def stands_out(self) -> bool:
        return self.estimate is not None and self.estimate.within_noise is False


@attrs.frozen
class Interaction:
    """How much more a trick changes the top-1 with another one than without it."""

    pairs: tuple[tuple[str, str], ...]
    """The pairs that can't be told apart, first the one whose tricks have the largest effects. The estimate is that of
    the first, if the others don't interact."""
    signs: tuple[int, ...]
    """1 for a pair whose interaction adds to the estimate, -1 for one that is subtracted."""
    estimate: Estimate
    means: tuple[Estimate, ...] | None
    """The top-1 with neither trick of the first pair, with the first trick, with the second, and with both, averaged
    over the other tricks on and off. None if the results don't determine it."""

    @property
    def stands_out(self) -> bool:
        return self.estimate.within_noise is False

    @property
    def said(self) -> str:
        """It as a sentence, in lower case."""
        (a, b), *_ = self.pairs
        size = f"{100 * abs(self.estimate.mean):.2f} points {'higher' if self.estimate.mean > 0 else 'lower'}"
        said = f"with {b}, the effect of {a} is {size} than without ({ends(self.estimate.interval)})"
        others = [*zip(self.pairs, self.signs, strict=True)][1:]
        positive = [f"{x} with {y}" for (x, y), sign in others if sign > 0]
        negative = [f"the opposite of {x} with {y}" for (x, y), sign in others if sign < 0]
        alike = f"; this can't be told from {' or '.join([*positive, *negative])}" if others else ""
        return f"{said}{alike}."


@attrs.frozen
class HalfNormal:
    """The sizes of effects next to those that noise alone would have."""

    points: tuple[tuple[Effect, float], ...]
    """The effects that are known, the smallest first, and the quantile of each in a half-normal distribution."""
    slope: float | None
    """The size per quantile of the effects within noise, or None if none is known to be."""


@attrs.frozen
class Noise:
    """The noise of the runs with a trick and without it, which differ clearly."""

    label: str
    on: float
    """The standard deviation of the noise of runs with it, as a fraction of the images."""
    off: float
    """The same for those without it."""

    @property
    def said(self) -> str:
        """The difference, in a sentence."""
        which, more, less = ("with", self.on, self.off) if self.on > self.off else ("without", self.off, self.on)
        return f"Runs {which} {self.label} are noisier: {100 * more:.2f} points instead of {100 * less:.2f}."


@attrs.frozen
class Best:
    """The combination of which the model predicts the highest top-1."""

    on: Choice
    """Which tricks are on."""
    labels: tuple[str, ...]
    statements: tuple[str, ...]
    """What to lay over the recipe to get it."""
    estimate: Estimate
    """The predicted top-1."""
    gain: Estimate
    """The predicted difference from the recipe with none of the tricks."""
    row: int | None
    """The index of the row that it is, if it was tried."""
