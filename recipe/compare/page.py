"""Render a difference as one self-contained page, with both graphs, cost bars, and learning-rate curves."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from recipe.base.pages import page_of
from recipe.compare.graph import Row
from recipe.compare.model import KINDS, Difference
from recipe.compare.text import counted, difference_of, made, measured_lines, shown, training_lines
from recipe.compiler.summary import Node
from recipe.compiler.summary_text import amount


def render(diff: Difference) -> str:
    """Return the page as HTML. It loads no external files."""
    return page_of(
        "recipe.compare",
        diff=diff,
        kinds=KINDS,
        amount=amount,
        difference_of=difference_of,
        counts=counted(diff.graph) or ": no changes",
        stages=[(stage, _groups(rows)) for stage, rows in groupby(diff.rows, lambda row: row.stage)],
        training=training_lines(diff) or ["same learning rate and settings"],
        measured=measured_lines(diff),
        facts=_facts,
        made=made,
    )


def _groups(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Group the rows of a stage by block. Outside blocks, group rows that differ and rows that do not."""
    groups = []
    for (block, _), run in groupby(rows, key=lambda row: (row.block, bool(row.change) and not row.block)):
        lines = list(run)
        same = not any(row.change for row in lines)
        ends = dict.fromkeys(row.node.address for row in (lines[0], lines[-1]))
        groups.append({"title": block or " … ".join(ends) * same, "rows": lines, "same": same})
    return groups


def _facts(node: Node, row: Row) -> list[tuple[str, str]]:
    """Return the details of an operation that the page shows on request."""
    return [
        ("address", node.address),
        ("kind", node.kind),
        *((name, shown(value)) for name, value in node.settings.items()),
        *((f"changed: {name}", f"{shown(before)} → {shown(after)}") for name, before, after in row.settings),
        ("output", shown(node.shape)),
        ("reads", ", ".join(node.reads)),
        *[("params", f"{node.cost.params:,}")] * bool(node.cost.params),
        *[("MACs", f"{node.cost.macs:,}")] * bool(node.cost.macs),
        *[("by", node.by)] * bool(node.by),
    ]
