"""What notebooks show of a run: its results as a table, and its curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from recipe.base import notebook
from recipe.base.wording import format_duration, plural
from recipe.compiler.program import Program

Points = Sequence[tuple[float, float]]
"""Epochs, each with a value."""

WIDTH, HEIGHT, EDGE = 320, 120, 18
"""The size of a figure, and of the margin for its labels, in pixels."""

MOST_POINTS = 160
"""The most points of a curve."""

WIDE = 100
"""The factor between two losses from which on their axis is logarithmic."""


def html_of(
    summary: dict[str, Any], lines: Sequence[dict[str, Any]], program: Program, classes: int, folder: Path
) -> str:
    """Return a run as HTML. It has the colors of the page around it, and all text is escaped.

    Args:
        summary: What `summary.json` has, or what is known of a run that was stopped.
        lines: The lines of `metrics.jsonl`.
        program: The compiled recipe.
        classes: The number of classes that the run was trained on.
        folder: The run folder.
    """
    trained, evaluated = ([line for line in lines if line["kind"] == kind] for kind in ("train", "evaluation"))
    losses = [("training", _points(trained, "loss")), ("held-out", _points(evaluated, "loss"))]
    figures = _figure("loss", losses, logarithmic=True)
    figures += _figure("held-out top-1", [("", _points(evaluated, "top1"))], percent=True)
    rows = [*_rows(summary, lines, program), ("classes", str(classes)), ("folder", str(folder))]
    return notebook.table(rows) + (f"<div>{figures}</div>" if figures else "")


def _rows(summary: dict[str, Any], lines: Sequence[dict[str, Any]], program: Program) -> Iterable[tuple[str, str]]:
    """Yield what is known of a run, with its model as the heading."""
    tricks = [step.word for step in program.layer_steps if step.changed]
    yield "run", " + ".join([program.plan.model, *tricks])
    yield "plan", str(summary["digest"])
    yield "status", str(summary["status"])
    if "top1" in summary:
        kept = f" (epoch {summary['best']['epoch']:g}, the best one)" if summary.get("kept") == "best" else ""
        yield "top-1", f"{summary['top1']:.2%}{kept}"
    if summary.get("balanced") is not None:
        yield "balanced accuracy", f"{summary['balanced']:.2%}"
    if "loss" in summary:
        yield "loss", f"{summary['loss']:.4f}"
    if test := summary.get("test"):
        yield "test", f"top-1 {test['top1']:.2%}, loss {test['loss']:.4f}"
    done = summary.get("epochs", lines[-1]["epoch"] if lines else 0)
    yield "epochs", f"{done:.4g} of {program.plan.training.epochs}"
    if "seconds" in summary:
        yield "time", format_duration(summary["seconds"])


def _points(lines: Sequence[dict[str, Any]], name: str) -> Points:
    """Return the values of a metric by epoch, each the mean of neighbors if there are many."""
    points = [(float(line["epoch"]), float(line[name])) for line in lines if math.isfinite(line[name])]
    size = -(-len(points) // MOST_POINTS) or 1
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]


def _figure(title: str, curves: Sequence[tuple[str, Points]], logarithmic: bool = False, percent: bool = False) -> str:
    """Return curves as SVG, the last one in full color, or an empty string if none has two points."""
    values = [value for _, points in curves for _, value in points]
    if max(len(points) for _, points in curves) < 2:
        return ""
    low, high, last = min(values), max(values), max(epoch for _, points in curves for epoch, _ in points)
    logarithmic = logarithmic and low > 0 and high > WIDE * low
    bottom, top = (math.log(low), math.log(high)) if logarithmic else (low, high)
    lines = ""
    for at, (name, points) in enumerate(curves):
        opacity = 1 if at == len(curves) - 1 else 0.45
        places = (
            f"{EDGE + (WIDTH - 2 * EDGE) * epoch / last:.1f},"
            f"{HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * _part(math.log(value) if logarithmic else value, bottom, top):.1f}"
            for epoch, value in points
        )
        lines += (
            f'<polyline points="{" ".join(places)}" fill="none" stroke="currentColor" stroke-width="1.5" '
            f'opacity="{opacity}"><title>{name or title}</title></polyline>'
        )
    epochs, shown = plural(last, "epoch", form=".4g"), "{:.1%}" if percent else "{:.4g}"
    heading = f"{title}: {shown.format(low)} to {shown.format(high)}{', logarithmic' if logarithmic else ''}"
    heading += f"; {curves[0][0]} in gray" if len(curves) > 1 else ""
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
        f'<g font-size="11" fill="currentColor"><text x="{EDGE}" y="11">{heading}</text>'
        f'<text x="{WIDTH - EDGE}" y="{HEIGHT - 4}" text-anchor="end">{epochs}</text></g>{lines}</svg>'
    )


def _part(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5
