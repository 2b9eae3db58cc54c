"""The table of an ablation as one self-contained page."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from recipe.ablation.report import words
from recipe.ablation.report.answer import Surer
from recipe.ablation.statistics.results import Estimate, Interval, Line
from recipe.base.pages import page_of
from recipe.base.wording import format_duration, plural

Curves = Mapping[str, tuple[tuple[float, float], ...]]
"""The epochs at which each run was evaluated and its held-out top-1, by the name of its cell."""

ByEpoch = Mapping[float, Sequence[float]]
"""The held-out top-1 under each seed, by epoch."""

MARGIN = 0.04
"""The part of a picture that is left free at each side."""

NEAR = (3.0, 8.0)
"""How near points with numbers may be, across and up, in percent of a picture."""

STEPS = 5
"""The most steps of an axis."""

METHODS = (
    "intervals that hold together: Hothorn, Bretz and Westfall 2008, “Simultaneous inference in general parametric "
    "models”",
    "noise of several rows: Smyth 2004, “Linear models and empirical Bayes methods for assessing differential "
    "expression in microarray experiments”",
)
"""The sources of the statistics."""


@attrs.frozen(kw_only=True)
class Entry:
    """What the page shows of a trick."""

    label: str
    estimate: Estimate | None
    verdict: str
    gain: float | None
    """What having the trick changes in the top-1."""
    top1: float | None = None
    seconds: float | None = None
    """What having it adds to the seconds per epoch, as a fraction."""
    macs: float | None = None
    """What having it adds to the MACs, as a fraction."""
    note: str = ""
    runs: tuple[int, int] | None = None
    """The finished runs with it and without it, if they are those of several rows."""
    learning: tuple[ByEpoch, ByEpoch] = ({}, {})
    """The learning curves of what it is compared with, and its own."""

    @classmethod
    def of(
        cls, line: Line, reference: Line, estimate: Estimate | None, removed: bool, note: str, curves: Curves
    ) -> Entry:
        """Return what is shown of a row. ``removed``: whether it lacks a trick that its reference has."""
        with_trick, without = (reference, line) if removed else (line, reference)
        return cls(
            label=line.label,
            estimate=estimate,
            verdict="" if estimate is None else estimate.verdict(removed),
            gain=None if estimate is None else -estimate.mean if removed else estimate.mean,
            top1=line.mean,
            seconds=_ratio(with_trick.seconds_per_epoch, without.seconds_per_epoch),
            macs=_ratio(with_trick.macs, without.macs),
            note=note,
            learning=(_by_epoch(curves, reference), _by_epoch(curves, line)),
        )


@attrs.frozen(kw_only=True)
class Page:
    """What the page shows."""

    title: str
    answer: str
    entries: Sequence[Entry]
    against: str
    """What the tricks are compared with, in words."""
    change: str = "difference"
    """What an estimate is called."""
    lines: tuple[Line, ...]
    runs: Sequence[tuple[str, Line]]
    """All rows whose runs are listed, each with its label."""
    notes: Sequence[str]
    recipe: str
    widest: float | None
    """Half the width of the widest interval."""
    surer: Sequence[Surer]
    meanings: Mapping[str, str] = attrs.field(factory=dict)
    """What each trick does, in a sentence, by its label."""
    has_looks: bool = False
    """Whether looks at the results decide how many seeds each row has."""
    command: str = ""
    """The command that made the table, if any."""
    methods: tuple[str, ...] = METHODS
    """What to cite besides the measurement."""
    template: str = "page.html"
    more: Mapping[str, Any] = attrs.field(factory=dict)
    """What the template needs besides the `values` of every page."""

    def to_html(self) -> str:
        """Return the page as HTML. It loads no external files."""
        return page_of("recipe.ablation.report", self.template, **self.values(), **self.more)

    def values(self) -> dict[str, Any]:
        """Return what every template is filled in with."""
        bars, zero = drawn([entry.estimate for entry in self.entries])
        pictures = (_curves(entry) for entry in self.entries)
        return {
            "page": self,
            "words": words,
            "plural": plural,
            "duration": format_duration,
            "rows": list(zip(self.entries, bars, strict=True)),
            "zero": zero,
            "pictures": [picture for picture in pictures if picture],
            "costs": _costs(self.entries),
            "made": sorted({cell.made_with for line in self.lines for cell in line.cells if cell.made_with}),
        }


class Scale:
    """Turns values into percent of a picture's width."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = min(values, default=0.0), max(values, default=0.0)
        room = MARGIN * ((high - low) or 1.0)
        self.low, self.width = low - room, (high - low) + 2 * room

    def __call__(self, value: float) -> float:
        return 100 * (value - self.low) / self.width


@attrs.frozen
class Bars:
    """A picture of an estimate. All places are in percent of its width."""

    intervals: list[tuple[str, float, float]]
    """The kind, left end and width of each interval."""
    mean: float | None


def drawn(estimates: Sequence[Estimate | None]) -> tuple[list[Bars], float]:
    """Return pictures of estimates on the same scale, and the place of zero."""
    known = [estimate for estimate in estimates if estimate is not None]
    intervals = [interval for each in known if (interval := each.interval) is not None]
    ends = [end for interval in intervals for end in (interval.low, interval.high)]
    scale = Scale([0.0, *ends, *(each.mean for each in known)])
    bars = [Bars([*_bars(each, scale)], None if each is None else scale(each.mean)) for each in estimates]
    return bars, scale(0.0)


def _bars(estimate: Estimate | None, scale: Scale) -> Iterator[tuple[str, float, float]]:
    intervals: tuple[tuple[str, Interval | None], ...]
    intervals = () if estimate is None else (("together", estimate.interval), ("single", estimate.single))
    for kind, interval in intervals:
        if interval is not None:
            yield kind, scale(interval.low), scale(interval.high) - scale(interval.low)


def _ratio(value: float | None, reference: float | None) -> float | None:
    """Return how much more a value is than another, as a fraction."""
    return None if value is None or not reference else value / reference - 1


def _costs(entries: Sequence[Entry]) -> dict[str, Any] | None:
    """Return the points of gain against training time, in percent of a picture, or None if no time is known."""
    points = [
        (at, entry, entry.gain, entry.seconds)
        for at, entry in enumerate(entries, 1)
        if entry.gain is not None and entry.seconds is not None
    ]
    if not points:
        return None
    gains, times = [0.0, *(gain for _, _, gain, _ in points)], [0.0, *(time for _, _, _, time in points)]
    across, up = Scale(times), Scale(gains)
    return {
        "points": _placed([(at, entry, across(time), 100 - up(gain)) for at, entry, gain, time in points]),
        "x": across(0.0),
        "y": 100 - up(0.0),
        "across": [(words.added(tick), across(tick)) for tick in ticks(min(times), max(times)) if tick],
        "up": [(words.points(tick), 100 - up(tick)) for tick in ticks(min(gains), max(gains)) if tick],
    }


def ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two, which may be one.

    >>> ticks(0, 0.07), ticks(-0.01, 0.02)
    ([0.0, 0.02, 0.04, 0.06], [-0.01, 0.0, 0.01, 0.02])
    """
    least = (high - low) / STEPS or 1.0
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(step * at, 9) + 0.0 for at in range(first, last + 1)]


def _placed(points: Sequence[tuple[int, Entry, float, float]]) -> list[tuple[int, Entry, float, float, int | None]]:
    """Return points, each with the number of the one that it is next to if there is no room for its own."""
    numbered = dict[int, tuple[float, float]]()
    near = dict[int, int]()
    for at, _, x, y in sorted(points, key=lambda point: point[1].verdict not in ("helps", "hurts")):
        close = (other for other, (a, b) in numbered.items() if abs(x - a) < NEAR[0] and abs(y - b) < NEAR[1])
        if (other := next(close, None)) is None:
            numbered[at] = (x, y)
        else:
            near[at] = other
    return [(*point, near.get(point[0])) for point in points]


def _curves(entry: Entry) -> dict[str, Any] | None:
    """Return the held-out top-1 of a trick and what it is compared with by epoch, as paths in a picture."""
    if not all(len(each) > 1 for each in entry.learning):
        return None
    values = [value for each in entry.learning for epoch in each.values() for value in epoch]
    across, up = Scale([epoch for each in entry.learning for epoch in each]), Scale(values)

    def path(points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{across(epoch):.2f},{100 - up(value):.2f}" for epoch, value in points)

    paths = []
    for kind, each in zip(("reference", "with"), entry.learning, strict=True):
        lowest, highest = ([(epoch, pick(values)) for epoch, values in each.items()] for pick in (min, max))
        means = [(epoch, statistics.fmean(values)) for epoch, values in each.items()]
        paths.append((kind, path(means), path([*lowest, *reversed(highest)])))
    return {
        "label": entry.label,
        "paths": paths,
        "low": min(values),
        "high": max(values),
        "epochs": max(max(each) for each in entry.learning),
    }


def _by_epoch(curves: Curves, line: Line) -> ByEpoch:
    """Return the held-out top-1 of each finished run of a row, by epoch."""
    found: dict[float, list[float]] = {}
    for cell in line.cells:
        if cell.status == "finished":
            for epoch, top1 in curves.get(cell.name, ()):
                found.setdefault(epoch, []).append(top1)
    return dict(sorted(found.items()))
