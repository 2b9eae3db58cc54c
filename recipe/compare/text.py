"""A difference as text for a terminal: colours where they are wanted, and never wider than it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from recipe.base.wording import plural
from recipe.compare.graph import Row
from recipe.compare.model import CostChange, Difference
from recipe.compiler.summary import Node
from recipe.compiler.summary_text import amount, listed_terms, plot, shown_target
from recipe.plan.changes import SIGNS

STYLES = {"added": "green", "removed": "red", "changed": "yellow"}
UNITS = {"params": "params", "macs": "MACs", "flops": "FLOPs", "activation_bytes": "activation memory"}
SHOWN_NAMES = 3
ROOM = 80
"""Columns below which the graph is told line by line."""
LEAST = 40
"""Columns that every text takes."""


def render(diff: Difference, width: int, color: bool) -> str:
    """All that differs, part by part; one line where nothing does."""
    width = max(width, LEAST)
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,  # whatever the environment says
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(Text.assemble(("A ", "bold cyan"), diff.name_a, "\n", ("B ", "bold magenta"), diff.name_b))
    if diff.imageless:
        console.print(f"{diff.imageless} names no data; `recipe run` would take `data digits`, and what that suggests")
    if diff.empty:
        console.print("no difference: the two recipes mean the same")
    parts = list(_parts(diff, width))
    if not (parts or diff.empty):
        console.print("the recipes and the graphs are the same; the models' own weights differ")
    for title, body in parts:
        console.print()
        console.print(Text(title, style="bold"))
        console.print(Padding(body, (0, 0, 0, 2)))
    file = console.file
    assert isinstance(file, io.StringIO)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _parts(diff: Difference, width: int) -> Iterable[tuple[str, RenderableType]]:
    """The parts in which something differs, with their titles."""
    if diff.empty:
        yield from [("measured", _measured(diff))] if diff.measured else []
        return
    if diff.words or diff.order:
        yield "recipe", _recipe(diff)
    if diff.graph:
        yield f"graph{counted(diff.graph)}", _graph(diff, width)
    if any(cost.differs for cost in diff.costs):
        yield _cost_title(diff), cost_table(diff.costs, width)
    if not diff.weights.loads_entirely or diff.graph:
        yield "weights", _weights(diff)
    if diff.settings or diff.groups or diff.rates_differ:
        yield "training", _training(diff, width)
    if diff.measured:
        yield "measured", _measured(diff)


def _line(change: str, *parts: str | tuple[str, str]) -> Text:
    return Text.assemble((f"{SIGNS[change]} ", STYLES[change]), *parts)


# ---- recipe


def _recipe(diff: Difference) -> RenderableType:
    lines: list[Text] = []
    for word in diff.words:
        for change, origin in word.lines():
            lines.append(_line(word.change, change, (f"   {origin}" if origin else "", "dim")))
    for first, second in diff.order:
        lines.append(Text(f"order: `{first}` before `{second}` → after it"))
    return Group(*lines)


# ---- graph


def shown(value: Any) -> str:
    """A setting as people write it: 2×2."""
    if isinstance(value, (tuple, list)):
        return (
            "×".join(map(shown, value)) if all(isinstance(part, int) for part in value) else ", ".join(map(str, value))
        )
    return f"{value:g}" if isinstance(value, float) else str(value)


def made(node: Node) -> str:
    """An operation with the settings that matter at first sight."""
    settings, parts = node.settings, [node.kind]
    if "in_channels" in settings:
        parts.append(f"{settings['in_channels']} → {settings['out_channels']}")
    elif "in_features" in settings:
        parts.append(f"{settings['in_features']} → {settings['out_features']}")
    elif "num_features" in settings:
        parts.append(str(settings["num_features"]))
    for name, word in (("kernel_size", ""), ("stride", "stride "), ("groups", "groups ")):
        if name in settings and settings[name] != 1:
            value = settings[name]
            parts.append(word + shown((value, value) if isinstance(value, int) and name != "groups" else value))
    return " ".join(parts)


def changes(row: Row) -> str:
    """What differs between the two operations of a row."""
    if row.a and row.b and row.a.kind != row.b.kind:
        return f"{made(row.a)} → {made(row.b)}"
    return ", ".join(
        f"{'argument ' * name.isdigit()}{name} {shown(before)} → {shown(after)}" for name, before, after in row.settings
    )


def counted(rows: Sequence[Row]) -> str:
    """How many operations were added, removed and changed."""
    counts = [(sum(row.change == change for row in rows), change) for change in ("added", "removed", "changed")]
    found = ", ".join(f"{count} {change}" for count, change in counts if count)
    return f": {found}" if found else ""


def _graph(diff: Difference, width: int) -> RenderableType:
    """The operations that differ, in columns where the terminal has room for them."""
    whole = {
        block: run[0].change
        for block, run in ((block, list(rows)) for block, rows in groupby(diff.rows, key=lambda row: row.block))
        if block and len({row.change for row in run}) == 1
    }
    lines = [
        (stage, *line)
        for stage, found in groupby(diff.graph, key=lambda row: row.stage)
        for block in _blocks(list(found), whole)
        for line in _block(block)
    ]
    firsts = [stage if not index or lines[index - 1][0] != stage else "" for index, (stage, *_) in enumerate(lines)]
    if width < ROOM:
        told = zip(firsts, lines, strict=True)
        return Group(
            *(Text.assemble(f"{first}\n" * bool(first), a, f"  {t}  ", (by, "dim")) for first, (_, a, t, by) in told)
        )
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    table.add_column(style="dim", overflow="fold")
    for first, (_, address, text, by) in zip(firsts, lines, strict=True):
        table.add_row(first, address, text, by)
    return table


def _blocks(rows: Sequence[Row], whole: Mapping[str, str]) -> list[list[Row]]:
    """Runs of rows that are told together: blocks that one side lacks as a whole; all else row by row."""
    found: list[list[Row]] = []
    for change, run in groupby(rows, key=lambda row: whole.get(row.block, "")):
        lines = list(run)
        found += [lines] if change in ("added", "removed") else [[row] for row in lines]
    return found


def _block(rows: list[Row]) -> list[tuple[Text, str, str]]:
    row = rows[0]
    if len(rows) == 1:
        text = changes(row) if row.change == "changed" else made(row.node)
        return [(_line(row.change, row.node.address), text, f"({row.by})" if row.by else "")]
    names = list(dict.fromkeys(row.block for row in rows))
    params, macs = sum(r.node.cost.params for r in rows), sum(r.node.cost.macs for r in rows)
    size = f"{plural(len(names), 'block')}, {len(rows)} operations"
    where = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
    return [(_line(row.change, where), f"{size}: {params:,} params, {macs:,} MACs", "")]


# ---- cost


def _cost_title(diff: Difference) -> str:
    a, b = diff.a, diff.b
    size = f"{a.size}×{a.size}" if a.size == b.size else f"{a.size}×{a.size} in A, {b.size}×{b.size} in B"
    precision = a.precision if a.precision == b.precision else f"{a.precision} in A, {b.precision} in B"
    return f"cost of one image of {size}, forward; activations in {precision}"


def difference_of(name: str, before: int, after: int) -> str:
    """The difference with its sign, and as a percentage of what was."""
    delta = after - before
    sign = "+" if delta > 0 else "−"
    part = delta / before if before else 0.0
    percent = f" ({part:+.1%})" if abs(part) >= 0.0005 else " (under 0.1%)"
    percent = percent.replace("-", "−") if before else ""
    return f"{sign}{amount(name, abs(delta))}{percent}" if delta else "same"


def cost_table(costs: Sequence[CostChange], width: int) -> RenderableType:
    """Costs that differ, by stage; of the total every one. In columns where these have room, else in lines."""
    rows = []
    for name, title in UNITS.items():
        first = title
        for cost in costs:
            before, after = cost.numbers()[name]
            total = cost.stage == "in all"
            if total or (before != after and name != "flops"):  # FLOPs are twice the MACs
                style = "dim" if before == after else "green" if after < before else "red"
                change = Text(difference_of(name, before, after), style)
                rows.append((first, cost.stage, amount(name, before), amount(name, after), change))
                first = ""
    needed = 2 + sum(max(len(row[column]) for row in rows) + 2 for column in range(5))
    if needed > width:
        return Group(
            *(
                Text.assemble(f"{title}\n" if title else "", f"  {stage}: {before} → {after}, ", change)
                for title, stage, before, after, change in rows
            )
        )
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "left", "right", "right", "right"):
        table.add_column(justify=justify, no_wrap=True)
    table.add_row("", "", Text("A", "bold cyan"), Text("B", "bold magenta"), "")
    for row in rows:
        table.add_row(*row)
    return table


# ---- weights


def _weights(diff: Difference) -> RenderableType:
    weights = diff.weights
    total = len(weights.kept) + len(weights.reshaped) + len(weights.lost)
    if weights.loads_entirely:
        return Text(f"a checkpoint of A loads entirely: {total} of {total} tensors")
    lines = [Text(f"of a checkpoint of A, {len(weights.kept)} of {total} tensors load")]
    for change, title, names in (
        ("changed", "of another shape in B", weights.reshaped),
        ("removed", "have no place in B", weights.lost),
        ("added", "are new in B", weights.new),
    ):
        if names:
            lines.append(_line(change, f"{len(names)} {title}: ", (_few(names), "dim")))
    return Group(*lines)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN_NAMES]) + (" …" if len(names) > SHOWN_NAMES else "")


# ---- training


def _training(diff: Difference, width: int) -> RenderableType:
    lines: list[RenderableType] = [_line("changed", line) for line in training_lines(diff)]
    return Group(
        *lines, *([plot(diff.a.schedule, diff.b.schedule, max(20, min(64, width - 16)))] if diff.rates_differ else [])
    )


def training_lines(diff: Difference) -> list[str]:
    """What differs in how the two train, a line each."""
    lines = []
    for name, a, b in diff.settings:
        if name in ("terms", "mixes"):
            lines.append(f"{'loss' if name == 'terms' else 'mixed by'} {listed_terms(a)} → {listed_terms(b)}")
        elif name == "targets":
            lines.append(f"targets {shown_target(a)} → {shown_target(b)}")
        else:
            lines.append(f"{name} {_known(name, a)} → {_known(name, b)}")
    highest = [max(facts.schedule.rates) for facts in (diff.a, diff.b)]
    if diff.rates_differ and highest[0] != highest[1]:
        lines.append(f"highest learning rate {highest[0]:.4g} → {highest[1]:.4g}")
    for group in diff.groups:
        options = ", ".join(
            f"{name} {shown(group.before.get(name, '–'))} → {shown(group.after.get(name, '–'))}"
            for name in sorted({*group.before, *group.after})
            if group.before.get(name) != group.after.get(name)
        )
        lines.append(f"{len(group.names)} parameters: {options}   {_few(group.names)}")
    return lines


def _known(name: str, value: int | None) -> str:
    unknown = "whole batches" if name == "micro" else "unknown until they are opened"
    return unknown if value is None else f"{value:,}"


# ---- measured


def _measured(diff: Difference) -> RenderableType:
    return Group(*(Text(line) for line in measured_lines(diff)))


def measured_lines(diff: Difference) -> list[str]:
    """What `--measure` found, a line each; nothing where nothing was measured."""
    if diff.measured is None:
        return []
    found = diff.measured
    a, b, ratio = found["a"], found["b"], found["ratio"]
    return [
        f"step           {a['step_seconds'] * 1e3:,.1f} ms → {b['step_seconds'] * 1e3:,.1f} ms, "
        f"B / A {ratio['median']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})",
        f"images/s       {a['images_per_second']:,.0f} → {b['images_per_second']:,.0f}",
        f"peak memory    {a['peak_bytes'] / 1e9:.2f} GB → {b['peak_bytes'] / 1e9:.2f} GB, "
        f"B / A {b['peak_bytes'] / a['peak_bytes']:.3f}",
        f"on {found['device']}, batches of {found['batch']} made-up images, {found['rounds']} rounds in turn",
    ]
