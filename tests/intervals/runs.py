"""How many runs each mode needs for intervals of the same width, with the noise measured in a real ablation."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from recipe.ablation.statistics.estimates import Fit
from tests.helpers import ROOT
from tests.intervals.simulated import Array, Kind

MEASURED = ROOT / "docs" / "data" / "fashion-mnist-screen.csv"
"""The runs of a screening of eight tricks. Its confirmation is left out."""

TRICKS = range(4, 17)

HALF = 0.005
"""The half-width of a screening's intervals that hold together, at most, as a fraction. The others get the same."""

TABLES = 40
"""How many tables the mean half-width of a number of seeds is taken over."""


def noise(path: Path = MEASURED) -> Array:
    """Return what is left of each run's top-1 without its row's mean and its seed's shift, with the right variance."""
    of_row: dict[str, dict[int, float]] = defaultdict(dict)
    with path.open() as file:
        for run in csv.DictReader(file):
            if not run["label"].startswith("confirmation"):
                of_row[run["row"]][int(run["seed"])] = float(run["top1"])
    seeds = sorted({seed for row in of_row.values() for seed in row})
    results = np.array([[row[seed] for seed in seeds] for row in of_row.values()])
    geometry = Fit(results, np.eye(len(results))).geometry
    residuals = geometry.residuals @ results[~np.isnan(results)]
    scaled: Array = residuals * np.sqrt(len(residuals) / geometry.freedom)
    return scaled


def mean_half(kind: Kind, measured: Array) -> float:
    """Return the mean half-width of intervals that hold together."""
    draws, halves = np.random.default_rng([kind.tricks, kind.seeds, len(kind.mode)]), []
    for _ in range(TABLES):
        analysis, _ = kind.analysed(draws.choice(measured, (kind.rows, kind.seeds)))
        intervals = [estimate and estimate.interval for estimate in analysis.estimates]
        halves += [interval.half for interval in intervals if interval is not None]
    return float(np.mean(halves))


def needed(mode: str, tricks: int, half: float, measured: Array) -> Kind:
    """Return the ablation with the fewest seeds whose intervals have a mean half-width of at most ``half``."""
    low, high = 1, 2
    while mean_half(Kind(mode, tricks, high), measured) > half:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if mean_half(Kind(mode, tricks, middle), measured) <= half else (middle, high)
    return Kind(mode, tricks, high)


def table(half: float = HALF) -> None:
    """Print the runs of each mode for each number of tricks."""
    measured = noise()
    print(f"Noise of {100 * measured.std():.2f} points, as measured; runs, and seeds of each row\n")
    print("| tricks | half-width | screen | stack | drop or add | screen / stack |")
    print("|---:|---:|---:|---:|---:|---:|")
    for tricks in TRICKS:
        screen = needed("screen", tricks, half, measured)
        same = mean_half(screen, measured)
        kinds = screen, needed("stack", tricks, same, measured), needed("drop", tricks, same, measured)
        runs = [kind.rows * kind.seeds for kind in kinds]
        cells = [f"{count} ({kind.seeds})" for kind, count in zip(kinds, runs, strict=True)]
        print(f"| {tricks} | {100 * same:.2f} | {' | '.join(cells)} | {runs[0] / runs[1]:.2f} |", flush=True)
