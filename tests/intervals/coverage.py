"""How often the intervals of simulated ablations contain the true effects."""

from __future__ import annotations

import attrs
import numpy as np

from tests.intervals.simulated import Kind

KINDS = (
    *(
        Kind(mode, tricks, seeds, noise)
        for noise in ("equal", "spread")
        for mode in ("stack", "add")
        for tricks, seeds in ((8, 3), (8, 2), (4, 3), (15, 5))
    ),
    *(Kind("screen", tricks, 2, noise) for noise in ("equal", "spread") for tricks in (4, 8, 15)),
    *(Kind(mode, 8, 3, noise) for noise in ("first", "related") for mode in ("stack", "add")),
    *(Kind(mode, 8, 20, noise, 0.75) for noise in ("equal", "spread") for mode in ("stack", "add")),
    *(Kind("screen", 8, 20, noise, 0.3) for noise in ("equal", "spread")),
    *(Kind(mode, tricks, 2, "calmed") for mode in ("screen", "kept") for tricks in (8, 15)),
    Kind("kept", 8, 2),
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
    runs: float
    """The mean number of runs."""
    shown: float
    """The part of the tables that have these intervals."""


def coverage(kind: Kind, count: int) -> Coverage:
    """Return how often the intervals of tables of some kind hold."""
    held: dict[str, list[bool]] = {"single": [], "own": [], "together": [], "silent": []}
    halves, runs = [], []
    for empty, effects in kind.drawn(count):
        analysis, used = kind.analysed(kind.with_effects(empty, effects))
        if analysis is None:
            continue
        runs.append(used)
        of_all = []
        for estimate, truth in zip(analysis.estimates, kind.estimated(effects), strict=True):
            assert estimate is not None
            for name, interval in (("single", estimate.single), ("own", estimate.own)):
                # two seeds may have the same difference to the last digit, and then there is no own interval
                held[name].append(interval is not None and interval.low <= truth <= interval.high)
            assert estimate.interval is not None
            assert estimate.single is not None
            of_all.append(estimate.interval.low <= truth <= estimate.interval.high)
            halves.append(estimate.single.half)
        held["together"].append(all(of_all))
        if kind.until is None:  # then the widths of intervals don't depend on the effects
            held["silent"].append(held["together"][-1])
        else:
            nothing, _ = kind.analysed(empty)
            assert nothing is not None
            held["silent"].append(all(each is not None and each.within_noise for each in nothing.estimates))
    parts = {name: float(np.mean(values)) for name, values in held.items()}
    means = float(np.mean(halves)), float(np.mean(runs))
    return Coverage(parts["single"], parts["own"], parts["together"], 1 - parts["silent"], *means, len(runs) / count)


def table(count: int, only: str) -> None:
    """Print the table for all kinds whose description contains a text."""
    print(f"{count:,} tables of each kind; intervals of 95 %\n")
    print("| tables | runs | alone | half-width | own | all together | false alarms |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    rarely = dict[str, float]()
    for kind in (kind for kind in KINDS if only in str(kind)):
        found = coverage(kind, count)
        cells = [f"{found.runs:.0f}", f"{100 * found.single:.1f} %", f"{100 * found.half:.2f}"]
        cells += [f"{100 * each:.1f} %" for each in (found.own, found.together, found.false_alarms)]
        print(f"| {kind} | {' | '.join(cells)} |", flush=True)
        if found.shown < 1:
            rarely[str(kind)] = found.shown
    if rarely:
        print("\nNot all tables have these intervals:")
        print("\n".join(f"- {kind}: {100 * shown:.1f} %" for kind, shown in rarely.items()))
