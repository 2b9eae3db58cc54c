"""The chart of an ablation: the top-1 of each row under each seed, and the differences with their intervals.

`screen_chart` draws that of a screening.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from recipe.ablation.report import screen_chart
from recipe.ablation.report.screen_chart import color_of, shortened
from recipe.ablation.report.screening import Screening
from recipe.ablation.report.table import Table
from recipe.ablation.rows.variants import AGAINST
from recipe.base import files
from recipe.base.pictures import drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(table: Table, folder: Path) -> str:
    """Write `chart.svg` and `chart.png` to a folder. Return a warning if that fails, or else an empty string."""
    return drawn(partial(_draw, table, folder), [folder / "chart.svg", folder / "chart.png"])


def _draw(table: Table, folder: Path) -> None:
    """Draw the chart. The same table always produces the same SVG bytes."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = screen_chart.figure(table) if isinstance(table, Screening) else _figure(table)
    FigureCanvasAgg(figure)
    with matplotlib.rc_context({"svg.hashsalt": "recipe", "svg.fonttype": "none"}):
        files.write(folder / "chart.svg", lambda file: figure.savefig(file, format="svg", metadata={"Date": None}))
    files.write(folder / "chart.png", lambda file: figure.savefig(file, format="png", dpi=200))


def _figure(table: Table) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.3 + 0.36 * len(table.lines)), layout="constrained")
    accuracy, change = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    for at, line in enumerate(table.lines):
        results = [100 * value for value in line.results]
        accuracy.plot(results, [at] * len(results), "o", ms=4, alpha=0.4, c="tab:blue")
        if line.mean is not None:
            accuracy.plot([100 * line.mean], [at], "|", ms=14, mew=2, c="tab:blue")
        if (gain := table.difference(line)) is not None:
            color = color_of(gain.verdict(table.mode == "drop"))
            for interval, width in ((gain.interval, 1.5), (gain.single, 4)):
                if interval is not None:
                    change.plot([100 * interval.low, 100 * interval.high], [at, at], lw=width, c=color)
            change.plot([100 * gain.mean], [at], "o", ms=5, c=color)
    change.axvline(0, lw=1, c="0.3")
    accuracy.set(xlabel="top-1 (%): seeds and mean", yticks=range(len(table.lines)))
    accuracy.set_yticklabels([shortened(line.label) for line in table.lines], parse_math=False)
    change.set(
        xlabel=f"difference from {AGAINST[table.mode]} (points),\n95% intervals of all rows together, and of each alone"
    )
    accuracy.invert_yaxis()
    for axes in (accuracy, change):
        axes.grid(axis="x", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
