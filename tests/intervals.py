"""How often the intervals of an ablation hold, in simulated tables: python -m tests.intervals [--tables 10000]

Draws tables with known effects, and prints how often each kind of interval contains the true effect: a row's interval
alone, its own interval, and those for all rows together, all at once. For the last column, nothing helps: it is the
part of the tables that say that something does.

A result is the accuracy of its row, plus a shift of its seed, plus normal noise with a standard deviation of half a
point. Unless rows are equally noisy, either their deviations are evenly spaced from half a point to two points on a
logarithmic scale, in random order, or only the first row has two points. In tables of related rows, half of the
variance of the noise is common to the rows of the first half, and to those of the second half.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

import attrs
import numpy as np
import numpy.typing as npt

from recipe.ablation.results import Cell, Line
from recipe.ablation.table import Table

NOISE, SHIFT, MOST = 0.005, 0.01, 4.0
"""The standard deviations of noise and of the seeds' shifts, and the largest noise, as a multiple of the smallest."""


NOISES = {
    "equal": "equally noisy",
    "spread": f"deviations up to {MOST:g}:1",
    "first": f"the first row {MOST:g} times as noisy",
    "related": "related rows",
}
"""How the rows differ in their noise, in words."""


@attrs.frozen
class Kind:
    """A kind of tables."""

    mode: str
    tricks: int
    seeds: int
    noise: str = "equal"

    def __str__(self) -> str:
        return f"{self.mode}, {self.tricks} tricks, {self.seeds} seeds, {NOISES[self.noise]}"


KINDS = (
    *(
        Kind(mode, tricks, seeds, noise)
        for noise in ("equal", "spread")
        for mode in ("stack", "add")
        for tricks, seeds in ((8, 3), (8, 2), (4, 3), (15, 5))
    ),
    *(Kind(mode, 8, 3, noise) for noise in ("first", "related") for mode in ("stack", "add")),
)
"""The tables that are drawn. Those of `drop` differ from those of `add` by a sign alone."""


@attrs.frozen
class Coverage:
    """The part of the intervals, or tables, that held."""

    single: float
    own: float
    together: float
    false_alarms: float
    """The part of the tables that say that something helps or hurts, though nothing does."""
    half: float
    """The mean half-width of single intervals."""


def drawn(kind: Kind, count: int, seed: int = 0) -> Iterator[tuple[Table, npt.NDArray[np.float64]]]:
    """Yield tables in which nothing helps, as noise alone, and true effects to add to them."""
    rows, order = kind.tricks + 1, [*NOISES].index(kind.noise)
    draws = np.random.default_rng([seed, kind.tricks, kind.seeds, order, kind.mode == "add"])
    references = [at if kind.mode == "stack" else 0 for at in range(kind.tricks)]
    for _ in range(count):
        values = 0.8 + draws.normal(0, SHIFT, kind.seeds) + _noise(kind, rows, draws)
        yield _table(kind, references, values), draws.normal(0, 0.02, kind.tricks)


def _noise(kind: Kind, rows: int, draws: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return the noise of each row under each seed."""
    noise = NOISE * draws.normal(0, 1, (rows, kind.seeds))
    if kind.noise == "spread":
        noise *= draws.permutation(np.geomspace(1, MOST, rows))[:, None]
    elif kind.noise == "first":
        noise[0] *= MOST
    elif kind.noise == "related":
        common = NOISE * draws.normal(0, 1, (2, kind.seeds))
        noise = (noise + common[np.arange(rows) * 2 // rows]) / math.sqrt(2)
    return noise


def _table(kind: Kind, references: list[int], values: npt.NDArray[np.float64]) -> Table:
    lines = [
        Line(
            f"row {at}",
            None if at == 0 else references[at - 1],
            (),
            1,
            1,
            tuple(Cell(f"{at}/{seed}", seed, "finished", float(value)) for seed, value in enumerate(row)),
        )
        for at, row in enumerate(values)
    ]
    return Table("simulated", kind.mode, "", tuple(range(kind.seeds)), tuple(lines))


def with_effects(table: Table, effects: npt.NDArray[np.float64]) -> Table:
    """Return a table to whose rows the effects of its tricks are added."""
    sums = np.concatenate([[0], np.cumsum(effects) if table.mode == "stack" else effects])
    lines = (
        attrs.evolve(line, cells=tuple(attrs.evolve(cell, top1=(cell.top1 or 0) + float(more)) for cell in line.cells))
        for line, more in zip(table.lines, sums, strict=True)
    )
    return attrs.evolve(table, lines=tuple(lines))


def coverage(kind: Kind, count: int) -> Coverage:
    """Return how often the intervals of tables of some kind hold."""
    held: dict[str, list[bool]] = {"single": [], "own": [], "together": [], "silent": []}
    halves = []
    for empty, effects in drawn(kind, count):
        estimates = with_effects(empty, effects).analysis.estimates
        of_all = []
        for estimate, truth in zip(estimates, effects, strict=True):
            assert estimate is not None
            for name, interval in (("single", estimate.single), ("own", estimate.own)):
                assert interval is not None
                held[name].append(interval.low <= truth <= interval.high)
            assert estimate.interval is not None
            assert estimate.single is not None
            of_all.append(estimate.interval.low <= truth <= estimate.interval.high)
            halves.append(estimate.single.half)
        held["together"].append(all(of_all))
        held["silent"].append(
            all(estimate is not None and estimate.within_noise for estimate in empty.analysis.estimates)
        )
    parts = {name: float(np.mean(values)) for name, values in held.items()}
    return Coverage(parts["single"], parts["own"], parts["together"], 1 - parts["silent"], float(np.mean(halves)))


def main(count: int) -> None:
    print(f"{count:,} tables of each kind; intervals of 95 %\n")
    print("| tables | alone | half-width | own | all together | false alarms |")
    print("|---|---:|---:|---:|---:|---:|")
    for kind in KINDS:
        found = coverage(kind, count)
        cells = [f"{100 * found.single:.1f} %", f"{100 * found.half:.2f}", f"{100 * found.own:.1f} %"]
        cells += [f"{100 * found.together:.1f} %", f"{100 * found.false_alarms:.1f} %"]
        print(f"| {kind} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tables", type=int, default=10_000, metavar="N", help="tables of each kind")
    main(parser.parse_args().tables)
