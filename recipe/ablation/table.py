"""The table of an ablation, as text and data: means, differences with intervals, and costs. No torch."""

from __future__ import annotations

import bisect
import csv
import io
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from recipe.base import notebook
from recipe.base.printable import markdown, printable
from recipe.base.wording import columns, plural

CONFIDENCE = 0.95

RESOLVED = 0.005
"""The difference in top-1 that an ablation should be able to resolve: half a point."""

MOST_SEEDS = 10_000

AGAINST = {"stack": "row above", "drop": "full recipe", "add": "baseline"}
"""What a row is compared with in each mode."""


@attrs.frozen
class Cell:
    """The result of a recipe under one seed. ``status`` is ``finished``, ``diverged`` or ``missing``.

    ``name`` is the name of its run folder in ``cells``.
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
class Difference:
    """The mean difference in top-1, paired by seed, and its confidence interval if there are enough seeds."""

    mean: float
    low: float | None = None
    high: float | None = None
    seeds: int = 1
    """Number of seeds that both rows have."""

    @property
    def within_noise(self) -> bool | None:
        """Whether the interval contains zero; None if there is no interval."""
        return None if self.low is None or self.high is None else self.low <= 0 <= self.high


def differences(values: Sequence[float | None], reference: Sequence[float | None]) -> list[float]:
    """Return the difference under each seed that both rows have."""
    return [a - b for a, b in zip(values, reference, strict=True) if a is not None and b is not None]


def difference(values: Sequence[float | None], reference: Sequence[float | None]) -> Difference | None:
    """Return the difference between two rows over the N seeds that both have; Student's t has N - 1 degrees of freedom.

    If every seed differs by the same amount, there is no interval: the measure is too coarse to show its noise.

    >>> difference([0.9, 0.92, 0.94], [0.9, 0.9, 0.9]).within_noise
    True
    """
    by_seed = differences(values, reference)
    if not by_seed:
        return None
    mean = statistics.fmean(by_seed)
    if max(by_seed) - min(by_seed) < 1e-9:
        return Difference(mean, seeds=len(by_seed))
    half = _half(statistics.stdev(by_seed), len(by_seed))
    return Difference(mean, mean - half, mean + half, len(by_seed))


def _half(deviation: float, seeds: int) -> float:
    """Return half the width of an interval, given the sample standard deviation of the differences."""
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, seeds - 1)) * deviation / math.sqrt(seeds)


def seeds_for(half: float, deviation: float) -> int:
    """Return how many seeds an interval of ± ``half`` takes if differences have the given standard deviation.

    >>> seeds_for(0.01, 0.01), seeds_for(0.005, 0.01)
    (7, 18)
    """
    return bisect.bisect_left(range(MOST_SEEDS), -half, 2, key=lambda seeds: -_half(deviation, seeds))


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

    @property
    def values(self) -> list[float | None]:
        """Top-1 under each seed, from 0 to 1."""
        return [cell.top1 for cell in self.cells]

    @property
    def results(self) -> list[float]:
        return _known(self.values)

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.results) if self.results else None

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation."""
        return statistics.stdev(self.results) if len(self.results) > 1 else None

    @property
    def seconds_per_epoch(self) -> float | None:
        seconds = _known(cell.seconds_per_epoch for cell in self.cells)
        return statistics.median(seconds) if seconds else None

    @property
    def peak_memory_bytes(self) -> float | None:
        peaks = _known(cell.peak_memory_bytes for cell in self.cells)
        return statistics.median(peaks) if peaks else None


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


COLUMNS = ("", "top-1", "difference", f"{CONFIDENCE:.0%} interval", "", "MACs", "params", "s/epoch", "memory")

WORDS = (0, 4)
"""Indices of the columns that contain words. The others contain numbers."""


@attrs.frozen
class Table:
    """The table of an ablation."""

    title: str
    """The name of the ablation and its mode."""
    mode: str
    """``stack``, ``drop`` or ``add``."""
    recipe: str
    """The canonical text of the studied recipe."""
    seeds: tuple[int, ...]
    """The seeds of each row."""
    lines: tuple[Line, ...]
    """The rows, each with a ``label``, its ``cells`` (one per seed), and the ``mean`` and ``deviation`` of their
    top-1 (0 to 1)."""
    about: tuple[str, ...] = ()
    """Sentences about the dataset, the length of the runs, and warnings."""

    def __repr__(self) -> str:
        finished = sum(cell.status == "finished" for line in self.lines for cell in line.cells)
        runs = f"{finished} of {plural(len(self.lines) * len(self.seeds), 'run')} finished"
        return f"Table({printable(self.title)}: {plural(len(self.lines), 'row')}, {runs})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the table and its notes."""
        numbers = [at for at in range(len(COLUMNS)) if at not in WORDS]
        title, notes = notebook.paragraphs([self.title]), notebook.paragraphs(self.notes())
        return title + notebook.table([COLUMNS, *self.cells()], numbers) + notes

    def difference(self, line: Line) -> Difference | None:
        """Return the difference between a row and the row it is compared with."""
        return None if line.reference is None else difference(line.values, self.lines[line.reference].values)

    def _needed(self) -> int | None:
        """Return how many seeds resolve `RESOLVED` at the spread of all rows, or None if no more are needed."""
        pairs = [(line, self.lines[line.reference]) for line in self.lines if line.reference is not None]
        by_row = [differences(line.values, reference.values) for line, reference in pairs]
        spreads = [statistics.variance(by_seed) for by_seed in by_row if len(by_seed) > 1]
        needed = seeds_for(RESOLVED, math.sqrt(statistics.fmean(spreads))) if any(spreads) else 0
        return needed if needed > len(self.seeds) else None

    def cells(self) -> list[tuple[str, ...]]:
        """Return the table as text, one tuple per row, without the heading."""
        return [
            (
                line.label,
                *self._results(line),
                _amount(line.macs),
                _amount(line.params),
                "" if line.seconds_per_epoch is None else f"{line.seconds_per_epoch:.1f}",
                "" if line.peak_memory_bytes is None else f"{line.peak_memory_bytes / 2**30:.2f} GiB",
            )
            for line in self.lines
        ]

    def _results(self, line: Line) -> tuple[str, str, str, str]:
        top1 = "–" if line.mean is None else f"{100 * line.mean:.2f}"
        if line.deviation is not None:
            top1 += f" ± {100 * line.deviation:.2f}"
        said = [line.note] if line.note else []
        states = [cell.status for cell in line.cells]
        said += [f"{states.count(s)} of {len(states)} {s}" for s in ("diverged", "missing") if s in states]
        change = self.difference(line)
        if change is None:
            if line.results and line.reference is not None:
                said.append(f"no seeds in common with `{self.lines[line.reference].label}`")
            return top1, "", "", "; ".join(said)
        interval = ""
        if change.low is not None and change.high is not None:
            interval = f"{_signed(change.low)} to {_signed(change.high)}"
            said = ["within noise", *said] if change.within_noise else said
        if change.seeds < len(line.results):  # the other row lacks some seeds
            said.append(f"difference over {change.seeds} of {plural(len(line.cells), 'seed')}")
        return top1, _signed(change.mean), interval, "; ".join(said)

    def notes(self) -> list[str]:
        """Return sentences that explain the figures."""
        seeds = f"{plural(len(self.seeds), 'seed')} ({', '.join(map(str, self.seeds))})"
        lines = [
            f"Top-1 is on held-out images, in percent: mean ± sample standard deviation over {seeds}. "
            f"The difference is from the {AGAINST[self.mode]}, in percentage points."
        ]
        if len(self.seeds) > 1:
            lines.append(
                f"The interval is a {CONFIDENCE:.0%} Student's t interval of the per-seed differences. It is not "
                "corrected for the number of rows. Within noise: the interval contains zero."
            )
            if any(change.low is None for change in map(self.difference, self.lines) if change):
                lines.append("A row with one finished seed, or the same difference under each seed, has no interval.")
            if needed := self._needed():
                more = f"about {needed}" if needed < MOST_SEEDS else "more"
                lines.append(
                    f"Given the spread across seeds, intervals of ±{100 * RESOLVED:g} points take {more} seeds."
                )
        else:
            lines.append("One seed says nothing about noise, so there is no interval.")
        made = sorted({cell.made_with for line in self.lines for cell in line.cells if cell.made_with})
        if len(made) > 1:
            lines.append(f"Runs from different environments may not agree to the last bit: {'; '.join(made)}.")
        return [*lines, *self.about]

    def to_text(self) -> str:
        """Return the table as plain text for a terminal."""
        numbers = [at for at in range(len(COLUMNS)) if at not in WORDS]
        title, notes = printable(self.title), map(printable, self.notes())
        return "\n".join([title, "", columns([COLUMNS, *self.cells()], numbers), "", *notes]) + "\n"

    def to_markdown(self) -> str:
        """Return the table as Markdown, in which labels and notes are plain text."""
        sides = ["---" if at in WORDS else "---:" for at in range(len(COLUMNS))]
        rows = [COLUMNS, tuple(sides), *self.cells()]
        table = [f"| {' | '.join(map(markdown, row))} |" for row in rows]
        return "\n".join([f"**{markdown(self.title)}**", "", *table, "", " ".join(map(markdown, self.notes()))]) + "\n"

    def to_csv(self) -> str:
        """Return the table as CSV, with a line for each row and seed. Top-1 is from 0 to 1."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("row", "label", *(field.name for field in attrs.fields(Cell)), "params", "macs"))
        for at, line in enumerate(self.lines):
            for cell in line.cells:
                values = (at, line.label, *attrs.astuple(cell), line.params, line.macs)
                writer.writerow([printable(value) if isinstance(value, str) else value for value in values])
        return out.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain JSON values. Top-1 is from 0 to 1."""
        lines = []
        for line in self.lines:
            change = self.difference(line)
            data = {
                **attrs.asdict(line),
                "statements": list(line.statements),
                "cells": [attrs.asdict(cell) for cell in line.cells],
                "top1_mean": line.mean,
                "top1_deviation": line.deviation,
                "difference": change and {**attrs.asdict(change), "within_noise": change.within_noise},
                "seconds_per_epoch": line.seconds_per_epoch,
                "peak_memory_bytes": line.peak_memory_bytes,
            }
            lines.append(data)
        return {
            "schema_version": 1,
            "title": self.title,
            "mode": self.mode,
            "recipe": self.recipe,
            "seeds": list(self.seeds),
            "confidence": CONFIDENCE,
            "rows": lines,
            "notes": self.notes(),
        }

    def to_json(self) -> str:
        """Return the result of `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"


def _amount(count: int) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= 0.9995 * size:  # three digits round up to this unit
            return f"{count / size:.3g} {unit}"
    return str(count)


def _signed(value: float) -> str:
    return f"{100 * value:+.2f}".replace("-", "−")
