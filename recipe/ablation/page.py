"""The table of an ablation as one self-contained page."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from recipe.ablation.results import Estimate, Interval, Line
from recipe.base.pages import page_of

Curves = Mapping[str, tuple[tuple[float, float], ...]]
"""The epochs at which each run was evaluated and its held-out top-1, by the name of its cell."""

MARGIN = 0.04
"""The part of a picture that is left free at each side."""


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
    pair: tuple[Line, Line] | None = None
    """Its row and the one that it is compared with."""

    @classmethod
    def of(cls, line: Line, reference: Line, estimate: Estimate | None, removed: bool, note: str) -> Entry:
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
            pair=(line, reference),
        )


@attrs.frozen(kw_only=True)
class Page:
    """What the page shows."""

    title: str
    answer: str
    entries: Sequence[Entry]
    against: str
    """What the tricks are compared with, in words."""
    lines: tuple[Line, ...]
    notes: Sequence[str]
    recipe: str
    curves: Curves
    command: str = ""
    """The command that made the table, if any."""

    def to_html(self) -> str:
        """Return the page as HTML. It loads no external files."""
        scale = _scale([entry.estimate for entry in self.entries])
        pictures = (_curves(self.curves, *entry.pair) for entry in self.entries if entry.pair is not None)
        return page_of(
            "recipe.ablation",
            page=self,
            rows=[(entry, *_drawn(entry.estimate, scale)) for entry in self.entries],
            zero=scale(0.0),
            pictures=[picture for picture in pictures if picture],
            costs=_costs(self.entries),
            made=sorted({cell.made_with for line in self.lines for cell in line.cells if cell.made_with}),
        )


class _Scale:
    """Turns values into percent of a picture's width."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = min(values, default=0.0), max(values, default=0.0)
        room = MARGIN * ((high - low) or 1.0)
        self.low, self.width = low - room, (high - low) + 2 * room

    def __call__(self, value: float) -> float:
        return 100 * (value - self.low) / self.width


def _scale(estimates: Sequence[Estimate | None]) -> _Scale:
    known = [estimate for estimate in estimates if estimate is not None]
    intervals = [interval for each in known if (interval := each.interval) is not None]
    ends = [end for interval in intervals for end in (interval.low, interval.high)]
    return _Scale([0.0, *ends, *(each.mean for each in known)])


def _drawn(estimate: Estimate | None, scale: _Scale) -> tuple[list[tuple[str, float, float]], float | None]:
    """Return the bars of an estimate's intervals, and the place of its mean, in percent of the picture."""
    return [*_bars(estimate, scale)], None if estimate is None else scale(estimate.mean)


def _bars(estimate: Estimate | None, scale: _Scale) -> Iterator[tuple[str, float, float]]:
    """Yield the kind, left end and width of each interval, in percent of the picture."""
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
    known = [(entry, entry.gain, entry.seconds) for entry in entries]
    points = [(entry, gain, seconds) for entry, gain, seconds in known if gain is not None and seconds is not None]
    if not points:
        return None
    gains, times = [0.0, *(gain for _, gain, _ in points)], [0.0, *(seconds for _, _, seconds in points)]
    across, up = _Scale(times), _Scale(gains)
    return {
        "points": [(entry, across(seconds), 100 - up(gain)) for entry, gain, seconds in points],
        "x": across(0.0),
        "y": 100 - up(0.0),
        "least": min(gains),
        "most": max(gains),
        "shortest": min(times),
        "longest": max(times),
    }


def _curves(curves: Curves, line: Line, reference: Line) -> dict[str, Any] | None:
    """Return the held-out top-1 of a row and its reference by epoch, as paths in a picture."""
    both = [_by_epoch(curves, each) for each in (reference, line)]
    if not all(len(each) > 1 for each in both):
        return None
    values = [value for each in both for epoch in each.values() for value in epoch]
    across, up = _Scale([epoch for each in both for epoch in each]), _Scale(values)

    def path(points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{across(epoch):.2f},{100 - up(value):.2f}" for epoch, value in points)

    drawn = []
    for kind, each in zip(("reference", "with"), both, strict=True):
        lowest, highest = ([(epoch, pick(values)) for epoch, values in each.items()] for pick in (min, max))
        means = [(epoch, statistics.fmean(values)) for epoch, values in each.items()]
        drawn.append((kind, path(means), path([*lowest, *reversed(highest)])))
    return {
        "label": line.label,
        "paths": drawn,
        "low": min(values),
        "high": max(values),
        "epochs": max(max(each) for each in both),
    }


def _by_epoch(curves: Curves, line: Line) -> dict[float, list[float]]:
    """Return the held-out top-1 of each finished run of a row, by epoch."""
    found: dict[float, list[float]] = {}
    for cell in line.cells:
        if cell.status == "finished":
            for epoch, top1 in curves.get(cell.name, ()):
                found.setdefault(epoch, []).append(top1)
    return dict(sorted(found.items()))
