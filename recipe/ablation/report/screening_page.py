"""What the page of a screening shows that others don't: the places in its pictures, and its rows. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from recipe.ablation.report.answer import SURER
from recipe.ablation.report.effects import Effects
from recipe.ablation.report.findings import Best, HalfNormal
from recipe.ablation.report.kept import Kept
from recipe.ablation.report.page import ByEpoch, Curves, Entry, drawn, ticks
from recipe.ablation.rows.combinations import Replaced, label_of
from recipe.ablation.statistics.results import Estimate

TEMPLATE = "screening.html"

PLACKETT = "design: Plackett and Burman 1946, “The design of optimum multifactorial experiments”"
BOX = "Box and Wilson 1951, “On the experimental attainment of optimum conditions”"
METHODS = {3: PLACKETT, 4: f"{PLACKETT}, folded over as in {BOX}"}
"""The source of the design, by its resolution."""


@attrs.frozen
class Frame:
    """The area of a plot in a picture, in the picture's units."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float


HALF_NORMAL = Frame(width=360, height=220, left=40, right=350, top=14, bottom=184)
MEANS_OF_TWO = Frame(width=220, height=130, left=62, right=158, top=16, bottom=114)

NEAR = 11.0
"""The least distance between two numbers that are written next to each other, in the picture's units."""


def parts(
    found: Effects,
    replaced: Sequence[Replaced],
    about_rows: Sequence[str],
    about_design: Sequence[str],
    kept: Kept | None = None,
    predictor: Kept | None = None,
) -> dict[str, Any]:
    """Return what the template of a screening needs.

    Args:
        found: What the runs say.
        replaced: The combinations of the full design that are not possible.
        about_rows: What is unusual about each row.
        about_design: Sentences about the design.
        kept: What the runs with a trick say about the others.
        predictor: The same, if it predicts the best combination.
    """
    best = (predictor or found).best
    listed = {each.label: each for each in (*found.by_size, *(predictor.found.by_size if predictor else ()))}
    others = [attrs.evolve(each, seconds=None, macs=None) for each in entries(kept.found, {})] if kept else []
    others_bars, others_zero = drawn([entry.estimate for entry in others])
    interactions = sorted(found.interactions, key=lambda each: not each.stands_out)
    bars, zero = drawn([each.estimate for each in interactions])
    return {
        "found": found,
        "effects": found.by_size,
        "best": best,
        "listed": list(listed.values()),
        "frame": HALF_NORMAL,
        "half_normal": half_normal(found.half_normal, [effect.label for effect in found.by_size]),
        "interactions": list(zip(interactions, bars, strict=True)),
        "interactions_zero": zero,
        "small": MEANS_OF_TWO,
        "plots": [(each, means_of(each.means)) for each in interactions if each.stands_out and each.means],
        "combinations": combinations(found, replaced, about_rows, best),
        "has_changes": any(each.row is not None for each in replaced),
        "lost": [(label_of(found.units, each.on), each.why) for each in replaced if each.row is None],
        "about_design": about_design,
        "kept": kept,
        "predictor": predictor,
        "kept_surer": [(half, kept.runs_for(half)) for half in SURER] if kept else [],
        "others": list(zip(others, others_bars, strict=True)),
        "others_zero": others_zero,
    }


def entries(found: Effects, curves: Curves) -> list[Entry]:
    """Return what the page shows of each trick, the one with the largest effect first."""
    by_trick = dict(zip((unit.label for unit in found.units), learning(found, curves), strict=True))
    return [
        Entry(
            label=effect.label,
            estimate=effect.estimate,
            verdict=effect.verdict,
            gain=None if effect.estimate is None else effect.estimate.mean,
            seconds=effect.seconds,
            macs=effect.macs,
            note="can't be told from the results" if effect.estimate is None else "",
            runs=effect.runs,
            learning=by_trick[effect.label],
        )
        for effect in found.by_size
    ]


def half_normal(plot: HalfNormal, order: Sequence[str]) -> dict[str, Any]:
    """Return the places of a half-normal plot. Effects have the numbers that they have in the table, ``order``."""
    sizes = [abs(effect.estimate.mean) for effect, _ in plot.points if effect.estimate]
    longest, largest = max((x for _, x in plot.points), default=1.0), max(sizes, default=0.0) or 0.01

    def across(quantile: float) -> float:
        return _place(quantile / (1.06 * longest), HALF_NORMAL.left, HALF_NORMAL.right)

    def up(size: float) -> float:
        return _place(size / (1.06 * largest), HALF_NORMAL.bottom, HALF_NORMAL.top)

    points = [
        (order.index(effect.label) + 1, effect, across(x), up(size))
        for (effect, x), size in zip(plot.points, sizes, strict=True)
    ]
    end = longest if not plot.slope else min(longest, 1.06 * largest / plot.slope)
    return {
        "points": points,
        "line": None if plot.slope is None else (across(end), up(plot.slope * end)),
        "x": [(f"{tick:g}", across(tick)) for tick in ticks(0, longest)],
        "y": [(f"{100 * tick:g}", up(tick)) for tick in ticks(0, largest)],
    }


def means_of(means: tuple[Estimate, ...]) -> list[dict[str, Any]]:
    """Return the two lines of an interaction plot: without the first trick, and with it.

    Each point has its place, the ends of its own interval, and the place and text of its number.
    """
    known = [end for each in means for end in ((each.single.low, each.single.high) if each.single else (each.mean,))]
    low, high = min(known), max(known)

    def up(value: float) -> float:
        share = 0.5 if high == low else (value - low) / (high - low)
        return _place(share, MEANS_OF_TWO.bottom, MEANS_OF_TWO.top)

    numbers = [*_apart(up(means[0].mean), up(means[1].mean)), *_apart(up(means[2].mean), up(means[3].mean))]
    points = []
    for at, each in enumerate(means):
        is_right, is_with = at > 1, at % 2
        shift = 2.5 if is_with else -2.5  # so that the two intervals don't cover each other
        points.append(
            {
                "x": (MEANS_OF_TWO.right if is_right else MEANS_OF_TWO.left) + shift,
                "y": up(each.mean),
                "ends": (up(each.single.low), up(each.single.high)) if each.single else None,
                "text": 100 * each.mean,
                "text_x": MEANS_OF_TWO.right + 9 if is_right else MEANS_OF_TWO.left - 9,
                "text_y": numbers[at],
                "is_right": is_right,
            }
        )
    return [{"kind": kind, "points": [points[at], points[at + 2]]} for at, kind in enumerate(("reference", "with"))]


def combinations(
    found: Effects, replaced: Sequence[Replaced], about: Sequence[str], best: Best | None = None
) -> list[dict[str, Any]]:
    """Return the rows of the design, each with its results and what is unusual about it.

    Each level is whether a trick is on, and whether it is in the full design.
    """
    instead = {each.row: each for each in replaced}
    rows = []
    for at, (levels, line) in enumerate(zip(found.design.levels.tolist(), found.lines, strict=True)):
        wanted, why = (instead[at].on, f"replaced: {instead[at].why}") if at in instead else (levels, "")
        row = {
            "levels": list(zip(levels, wanted, strict=True)),
            "mean": line.mean,
            "runs": (len(line.results), len(line.needed)),
            "notes": "; ".join(filter(None, (about[at], why))),
            "is_best": best is not None and best.row == at,
        }
        rows.append(row)
    return rows


def learning(found: Effects, curves: Curves) -> list[tuple[ByEpoch, ByEpoch]]:
    """Return the held-out top-1 without each trick and with it by epoch, averaged over the other tricks on and off.

    Each epoch has a value for each seed.
    """
    seeds = max((len(line.cells) for line in found.lines), default=0)
    known = [
        [dict(curves.get(cell.name, ())) if cell.status == "finished" else {} for cell in line.cells]
        for line in found.lines
    ]
    epochs = sorted({epoch for row in known for cell in row for epoch in cell})
    if not epochs:
        return [({}, {}) for _ in found.units]
    values = [[row[seed].get(epoch, math.nan) for row in known] for epoch in epochs for seed in range(seeds)]
    means = found.averages(np.array(values)).reshape(len(epochs), seeds, 2, len(found.units))

    def curve(trick: int, having: int) -> ByEpoch:
        by_epoch = {epoch: means[at, :, having, trick] for at, epoch in enumerate(epochs)}
        return {epoch: seen.tolist() for epoch, each in by_epoch.items() if len(seen := each[~np.isnan(each)])}

    return [(curve(trick, 0), curve(trick, 1)) for trick in range(len(found.units))]


def _place(share: float, start: float, end: float) -> float:
    return round(start + share * (end - start), 2)


def _apart(one: float, other: float) -> tuple[float, float]:
    """Return two places, moved away from each other if they are too near."""
    missing = NEAR - abs(one - other)
    if missing <= 0:
        return one, other
    move = math.copysign(missing / 2, other - one) if other != one else -missing / 2
    return one - move, other + move
