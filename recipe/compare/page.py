"""A difference as one self-contained page: both graphs side by side, cost bars, and learning-rate curves."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from itertools import groupby
from typing import Any

import jinja2

from recipe.compare.graph import Row
from recipe.compare.model import Difference
from recipe.compare.text import UNITS, counted, difference_of, made, measured_lines, shown, training_lines
from recipe.compiler.summary import Node, Schedule
from recipe.compiler.summary_text import amount


def render(diff: Difference) -> str:
    """The page as HTML; it loads nothing from anywhere."""
    source = (resources.files("recipe.compare") / "page.html").read_text("utf-8")
    template = jinja2.Template(
        source, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    one_size = diff.a.size == diff.b.size
    weights = diff.weights
    page: str = template.render(
        diff=diff,
        sizes=f", {diff.a.size} px square" if one_size else f": {diff.a.size} px square in A, {diff.b.size} px in B",
        metrics=[_metric(diff, name) for name in UNITS],
        counts=counted(diff.graph) or ": the same",
        stages=[
            {"name": stage, "groups": _groups(list(rows))} for stage, rows in groupby(diff.rows, lambda row: row.stage)
        ],
        weights=[
            ("changed", "of another shape in B", weights.reshaped),
            ("removed", "have no place in B", weights.lost),
            ("added", "are new in B", weights.new),
        ],
        curve=_curve(diff.a.schedule, diff.b.schedule),
        training=training_lines(diff) or ["learning rate and settings are the same"],
        measured=measured_lines(diff),
        tip=lambda node, row: "\n".join(f"{name}: {value}" for name, value in _facts(node, row)),
        facts=_facts,
        short=made,
    )
    return page


def _metric(diff: Difference, name: str) -> dict[str, Any]:
    """A kind of cost, with bars as parts of the longest."""
    costs = diff.costs
    most = max([*(max(cost.numbers()[name]) for cost in costs[:-1]), 1])
    stages = []
    for cost in costs[:-1]:
        before, after = cost.numbers()[name]
        text = f"{amount(name, before)} → {amount(name, after)}, {difference_of(name, before, after)}"
        text = text if before != after else amount(name, before)
        stages.append(
            {"name": cost.stage, "a": round(100 * before / most, 2), "b": round(100 * after / most, 2), "text": text}
        )
    before, after = costs[-1].numbers()[name]
    total = f"{amount(name, before)} → {amount(name, after)}, {difference_of(name, before, after)}"
    return {"title": UNITS[name], "total": total, "stages": stages, "open": before != after and name != "flops"}


def _groups(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of a stage, cut where a block begins or ends, and between what differs and what does not."""
    found = []
    for block, run in groupby(rows, key=lambda row: row.block):
        lines = list(run)
        if block:
            found.append({"title": block, "rows": lines, "same": not any(row.change for row in lines)})
            continue
        for differs, part in groupby(lines, key=lambda row: bool(row.change)):
            part_rows = list(part)
            names = f"{part_rows[0].node.address} … {part_rows[-1].node.address}" if len(part_rows) > 1 else ""
            title = "" if differs else names or part_rows[0].node.address
            found.append({"title": title, "rows": part_rows, "same": not differs})
    return found


def _facts(node: Node, row: Row) -> list[tuple[str, str]]:
    """What is told of an operation on request."""
    found = [("address", node.address), ("kind", node.kind)]
    found += [(name, shown(value)) for name, value in node.settings.items()]
    found += [(f"changed: {name}", f"{shown(before)} → {shown(after)}") for name, before, after in row.settings]
    found += [("output", shown(node.shape)), ("reads", ", ".join(node.reads))]
    found += [("params", f"{node.cost.params:,}")] * bool(node.cost.params)
    found += [("MACs", f"{node.cost.macs:,}")] * bool(node.cost.macs)
    found += [("by", node.by)] * bool(node.by)
    return found


def _curve(a: Schedule, b: Schedule) -> dict[str, Any]:
    high, epochs = max(*a.rates, *b.rates) or 1.0, max(a.epochs, b.epochs)

    def points(schedule: Schedule) -> str:
        last = len(schedule.rates) - 1
        return " ".join(
            f"{60 + 570 * index / last * schedule.epochs / epochs:.1f},{200 - 180 * rate / high:.1f}"
            for index, rate in enumerate(schedule.rates)
        )

    return {"high": f"{high:.4g}", "epochs": epochs, "a": points(a), "b": points(b)}
