"""The chart of an ablation: each row's seeds as dots, its mean, and the interval of its difference."""

from __future__ import annotations

from pathlib import Path

from recipe.ablation.table import Table
from recipe.base import files


def draw(table: Table, folder: Path) -> list[Path]:
    """Draw `chart.svg` and `chart.png` into a folder. The same table gives the same bytes of the SVG."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = list(table.lines)
    figure = Figure(figsize=(9, 1.3 + 0.36 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    accuracy, change = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    for at, line in enumerate(rows):
        accuracy.plot([100 * value for value in line.found], [at] * len(line.found), "o", ms=4, alpha=0.4, c="tab:blue")
        if line.mean is not None:
            accuracy.plot([100 * line.mean], [at], "|", ms=14, mew=2, c="tab:blue")
        found = table.difference(line)
        if found is not None:
            color = "0.6" if found.within_noise or found.low is None else "tab:green" if found.mean > 0 else "tab:red"
            if found.low is not None and found.high is not None:
                change.plot([100 * found.low, 100 * found.high], [at, at], lw=2, c=color)
            change.plot([100 * found.mean], [at], "o", ms=5, c=color)
    change.axvline(0, lw=1, c="0.3")
    against = {"stack": "row above", "drop": "full recipe", "add": "baseline"}[table.mode]
    accuracy.set(xlabel="top-1 (%): seeds, and mean", yticks=range(len(rows)))
    accuracy.set_yticklabels([line.label for line in rows])
    change.set(xlabel=f"difference to {against} (points)")
    accuracy.invert_yaxis()
    for axes in (accuracy, change):
        axes.grid(axis="x", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    paths = [folder / "chart.svg", folder / "chart.png"]
    with matplotlib.rc_context({"svg.hashsalt": "recipe", "svg.fonttype": "none"}):
        files.write(paths[0], lambda file: figure.savefig(file, format="svg", metadata={"Date": None}))
    files.write(paths[1], lambda file: figure.savefig(file, format="png", dpi=200))
    return paths
