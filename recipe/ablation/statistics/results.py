"""What the runs of an ablation measured, and what follows for each trick, as data. Needs no torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

import attrs

CONFIDENCE = 0.95


@attrs.frozen
class Cell:
    """The result of a recipe under one seed. ``status`` is ``finished``, ``diverged``, ``missing`` or ``left``.

    One that is left is not trained, because its row has enough seeds. ``name`` is the name of its run folder in
    ``cells``.
    """

    name: str
    seed: int
    status: str = "missing"
    top1: float | None = None
    loss: float | None = None
    seconds_per_epoch: float | None = None
    peak_memory_bytes: int | None = None
    precision: str | None = None
    """The precision of the computation, which may differ from the recipe's."""
    made_with: str = ""
    """Versions, device and so on, in words."""


@attrs.frozen
class Line:
    """A row of the table. ``reference`` is the index of the row to compare with; ``note`` lists anything unusual."""

    label: str
    reference: int | None
    statements: tuple[str, ...]
    params: int
    macs: int
    cells: tuple[Cell, ...] = ()
    note: str = ""
    epochs: int | None = None
    """The length of a run, if known."""

    @property
    def seconds(self) -> float | None:
        """How long the epochs of a run take, or None if that isn't known."""
        return None if self.epochs is None or self.seconds_per_epoch is None else self.epochs * self.seconds_per_epoch

    @property
    def needed(self) -> tuple[Cell, ...]:
        """The cells without those that are left."""
        return tuple(cell for cell in self.cells if cell.status != "left")

    @property
    def values(self) -> list[float | None]:
        """Top-1 under each seed, from 0 to 1."""
        return [cell.top1 for cell in self.cells]

    @property
    def results(self) -> list[float]:
        return known(self.values)

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.results) if self.results else None

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation."""
        return statistics.stdev(self.results) if len(self.results) > 1 else None

    @property
    def seconds_per_epoch(self) -> float | None:
        seconds = known(cell.seconds_per_epoch for cell in self.cells)
        return statistics.median(seconds) if seconds else None

    @property
    def peak_memory_bytes(self) -> float | None:
        peaks = known(cell.peak_memory_bytes for cell in self.cells)
        return statistics.median(peaks) if peaks else None


@attrs.frozen
class Interval:
    """The ends of a confidence interval."""

    low: float
    high: float

    @classmethod
    def around(cls, mean: float, half: float) -> Interval | None:
        """Return the interval of some width around a mean, or None if its width is unknown."""
        return cls(mean - half, mean + half) if math.isfinite(half) else None

    @property
    def half(self) -> float:
        """Half of its width."""
        return (self.high - self.low) / 2

    @property
    def has_zero(self) -> bool:
        return self.low <= 0 <= self.high


@attrs.frozen
class Estimate:
    """How much a trick changes the top-1, as a fraction, and how sure that is, with a confidence of 95 %."""

    mean: float
    interval: Interval | None = None
    """The interval that holds together with those of all other tricks, with the noise of all rows."""
    single: Interval | None = None
    """The interval of this trick alone, with the noise of all rows."""
    own: Interval | None = None
    """Student's t interval of the differences under each seed, with nothing but their own spread."""
    images: float | None = None
    """How far the mean may be from that on all images of the same kind, at most: half of a normal interval. It is not
    part of the other intervals, which are about the variation between seeds."""
    seeds: int = 0
    """The number of seeds under which all compared rows have results."""

    @property
    def within_noise(self) -> bool | None:
        """Whether the interval contains zero; None if there is no interval."""
        return None if self.interval is None else self.interval.has_zero

    def verdict(self, removed: bool = False) -> str:
        """Return ``helps``, ``hurts``, ``within noise``, or nothing if there is no interval.

        Args:
            removed: Whether the estimate is the difference that the removal of the trick makes.
        """
        if self.within_noise is None:
            return ""
        return "within noise" if self.within_noise else "helps" if (self.mean > 0) != removed else "hurts"


def known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def own_interval(by_seed: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Return Student's t interval of the mean of N values, with N - 1 degrees of freedom.

    There is none for a single value, or if all are the same: the measure is too coarse to show its noise.

    >>> own_interval([0.0, 0.02, 0.04]).has_zero
    True
    """
    if len(by_seed) < 2 or max(by_seed) - min(by_seed) < 1e-9:
        return None
    from scipy.stats import t

    half = float(t.ppf((1 + confidence) / 2, len(by_seed) - 1)) * statistics.stdev(by_seed) / math.sqrt(len(by_seed))
    return Interval.around(statistics.fmean(by_seed), half)


@attrs.frozen
class Contrast:
    """What an estimate is about: a weighted sum of the rows' top-1."""

    label: str
    weights: tuple[float, ...]
    """The weight of each row. They sum to zero, or to 1 for a mean over the seeds."""
