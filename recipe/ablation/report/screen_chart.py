"""The chart of a screening: the effects with their intervals, and a half-normal plot of their sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recipe.ablation.report.findings import Effect, HalfNormal
from recipe.ablation.report.screening import Screening
from recipe.ablation.statistics.results import CONFIDENCE
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
    _half_normal(normal, table.found.half_normal)
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


def _half_normal(axes: Axes, plot: HalfNormal) -> None:
    """Draw the sizes of the effects against quantiles of noise, with the labels of those that are not within noise.

    The line goes through those that are.
    """
    last = plot.points[-1][1] if plot.points else 0.0
    for effect, expected in plot.points:
        size = 100 * abs(effect.estimate.mean if effect.estimate else 0)
        axes.plot([expected], [size], "o", ms=5, c=color_of(effect.verdict))
        if effect.stands_out:
            is_right = expected > last / 2
            side: dict[str, Any] = {"xytext": (-6, 3), "ha": "right"} if is_right else {"xytext": (6, -8), "ha": "left"}
            text = shortened(effect.label, LONGEST_IN_PLOT)
            axes.annotate(text, (expected, size), textcoords="offset points", parse_math=False, **side)
    if plot.slope:
        axes.plot([0, last], [0, 100 * plot.slope * last], lw=1, ls="--", c="0.6")
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
