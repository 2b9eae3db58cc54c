"""The chart of a screening: the effects with their intervals, and a half-normal plot of their sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recipe.ablation.effects import Effect
from recipe.ablation.results import CONFIDENCE
from recipe.ablation.screening import Screening
from recipe.base.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST = 48
"""The most characters of a label in a chart."""

LONGEST_IN_PLOT = 16
"""The most characters of a label in the half-normal plot."""


def figure(table: Screening) -> Figure:
    """Draw the chart."""
    from matplotlib.figure import Figure

    effects = table.found.by_size
    drawn = Figure(figsize=(11, max(3.6, 1.3 + 0.36 * len(effects))), layout="constrained")
    pareto, normal = drawn.subplots(1, 2, width_ratios=[3, 2])
    _pareto(pareto, effects)
    _half_normal(normal, effects)
    for axes in (pareto, normal):
        axes.spines[["top", "right"]].set_visible(False)
    return drawn


def _pareto(axes: Axes, effects: list[Effect]) -> None:
    """Draw the effects, the largest at the top, with their intervals."""
    for at, effect in enumerate(effects):
        if (found := effect.estimate) is None:
            continue
        color = color_of(effect.verdict)
        axes.barh(at, 100 * found.mean, height=0.55, color=color, alpha=0.3)
        for interval, width in ((found.interval, 1.5), (found.single, 4)):
            if interval is not None:
                axes.plot([100 * interval.low, 100 * interval.high], [at, at], lw=width, c=color)
        axes.plot([100 * found.mean], [at], "o", ms=5, c=color)
    axes.axvline(0, lw=1, c="0.3")
    axes.set(
        xlabel=f"effect on top-1 (points),\n{CONFIDENCE:.0%} intervals of all tricks together, and of each alone",
        yticks=range(len(effects)),
    )
    axes.set_yticklabels([shortened(effect.label) for effect in effects], parse_math=False)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.25)


def _half_normal(axes: Axes, effects: list[Effect]) -> None:
    """Draw the sizes of the effects against quantiles of noise, with the labels of those that are not within noise.

    The line goes through those that are.
    """
    from scipy.special import ndtri

    found = [(effect.label, effect.estimate) for effect in reversed(effects) if effect.estimate is not None]
    expected = ndtri(0.5 + 0.5 * (np.arange(len(found)) + 0.5) / max(1, len(found)))
    for at, (label, estimate) in enumerate(found):
        size = 100 * abs(estimate.mean)
        axes.plot([expected[at]], [size], "o", ms=5, c=color_of(estimate.verdict()))
        if estimate.within_noise is False:
            is_right = expected[at] > expected[-1] / 2
            side: dict[str, Any] = {"xytext": (-6, 3), "ha": "right"} if is_right else {"xytext": (6, -8), "ha": "left"}
            text, place = shortened(label, LONGEST_IN_PLOT), (expected[at], size)
            axes.annotate(text, place, textcoords="offset points", parse_math=False, **side)
    noise = [abs(estimate.mean) for _, estimate in found if estimate.within_noise is not False]
    if noise and any(noise):
        slope = float(expected[: len(noise)] @ noise / (expected[: len(noise)] @ expected[: len(noise)]))
        axes.plot([0, expected[-1]], [0, 100 * slope * expected[-1]], lw=1, ls="--", c="0.6")
    axes.set(xlabel="half-normal quantile", ylabel="size of the effect (points)")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)


def color_of(verdict: str) -> str:
    """Return green for what helps, red for what hurts, and gray for what is within noise or has no interval."""
    return {"helps": "tab:green", "hurts": "tab:red"}.get(verdict, "0.6")


def shortened(text: str, most: int = LONGEST) -> str:
    """Return a label, cut if it is long."""
    shown = printable(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
