"""Render a difference as text for a terminal, with optional color and never wider than the terminal."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from recipe.base.printable import printable
from recipe.base.wording import plural
from recipe.compare.graph import Row
from recipe.compare.model import KINDS, Difference, GroupChange
from recipe.compiler.summary import FROZEN, Node
from recipe.compiler.summary_text import amount, listed_terms, plot, shown_target
from recipe.plan.changes import SIGNS

STYLES = {"added": "green", "removed": "red", "changed": "yellow"}
SHOWN_NAMES = 3
ROOM = 80
"""Minimum width, in columns, for showing the graph as a table. Narrower output has one line per operation."""
LEAST = 40
"""Minimum width of the text, in columns."""


def render(diff: Difference, width: int, color: bool) -> str:
    """Return everything that differs, part by part, or a single line if nothing does."""
    width, out = max(width, LEAST), io.StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,  # regardless of the environment
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        force_jupyter=False,  # in a notebook, it would display the text instead of returning it
    )
    console.print(
        Text.assemble(("A ", "bold cyan"), printable(diff.name_a), "\n", ("B ", "bold magenta"), printable(diff.name_b))
    )
    if diff.imageless:
        console.print(
            f"{diff.imageless} names no dataset; `recipe run` would use `data digits` and the settings it suggests"
        )
    results = [printable(line) for line in diff.results.lines] if diff.results else []
    parts: dict[str, Sequence[RenderableType]] = {"measured": measured_lines(diff), "results": results}
    if diff.empty:
        console.print("no differences: the two recipes are equivalent")
    else:
        parts = {
            "recipe": _recipe(diff),
            f"graph{counted(diff.graph)}": _graph(diff, width),
            _cost_title(diff): _costs(diff, width),
            "weights": _weights(diff),
            "training": _training(diff, width),
            **parts,
        }
        if not any(parts.values()):
            console.print("the recipes and the graphs are the same, but the models' own weights differ")
    for title, body in parts.items():
        if body:
            console.print()
            console.print(Text(title, style="bold"))
            console.print(Padding(Group(*body), (0, 0, 0, 2)))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _line(change: str, text: str, faint: str = "") -> Text:
    return Text.assemble((f"{SIGNS[change]} ", STYLES[change]), printable(text), (printable(faint), "dim"))


def _recipe(diff: Difference) -> list[RenderableType]:
    words = [
        _line(word.change, change, f"   {origin}" if origin else "")
        for word in diff.words
        for change, origin in word.lines()
    ]
    return [
        *words,
        *(
            printable(f"order: `{first}` before `{second}` → `{first}` after `{second}`")
            for first, second in diff.order
        ),
    ]


def shown(value: Any) -> str:
    """Format a setting for display, such as 2×2."""
    if isinstance(value, (tuple, list)):
        whole = all(isinstance(part, int) for part in value)
        return "×".join(map(shown, value)) if whole else ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def made(node: Node) -> str:
    """Describe an operation by its kind and its main settings."""
    settings, parts = node.settings, [node.kind]
    if "in_channels" in settings:
        parts.append(f"{settings['in_channels']} → {settings['out_channels']}")
    elif "in_features" in settings:
        parts.append(f"{settings['in_features']} → {settings['out_features']}")
    elif "num_features" in settings:
        parts.append(str(settings["num_features"]))
    for name, word in (("kernel_size", ""), ("stride", "stride "), ("groups", "groups ")):
        value = settings.get(name, 1)
        if value != 1:
            parts.append(word + shown((value, value) if isinstance(value, int) and name != "groups" else value))
    return " ".join(parts)


def counted(rows: Sequence[Row]) -> str:
    """Return how many operations were added, removed and changed."""
    counts = {change: sum(row.change == change for row in rows) for change in STYLES}
    told = ", ".join(f"{count} {change}" for change, count in counts.items() if count)
    return f": {told}" if told else ""


def _graph(diff: Difference, width: int) -> list[RenderableType]:
    """Return the operations that differ, in columns if the terminal is wide enough."""
    whole: dict[str, str] = {}
    for block, run in groupby(diff.rows, key=lambda row: row.block):
        changes = {row.change for row in run}
        if block and len(changes) == 1:
            whole[block] = changes.pop()
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    table.add_column(style="dim", overflow="fold")
    lines: list[RenderableType] = []
    for stage, run in groupby(diff.graph, key=lambda row: row.stage):
        title = printable(stage)
        for change, alike in groupby(run, key=lambda row: whole.get(row.block, "")):
            rows = list(alike)
            told = [_blocks(rows)] if change in ("added", "removed") else map(_operation, rows)
            for address, what, by in told:
                lines.append(Text.assemble(f"{title}\n" * bool(title), address, f"  {what}  ", (by, "dim")))
                table.add_row(title, address, what, by)
                title = ""
    return [table] if lines and width >= ROOM else lines


def _operation(row: Row) -> tuple[Text, str, str]:
    """Return the address of an operation, what it is or what changed, and the trick that caused the difference."""
    what = made(row.node)
    if row.a and row.b and row.a.kind != row.b.kind:
        what = f"{made(row.a)} → {made(row.b)}"
    elif row.settings:
        what = ", ".join(
            f"{'argument ' * name.isdigit()}{name} {shown(before)} → {shown(after)}"
            for name, before, after in row.settings
        )
    return _line(row.change, row.node.address), printable(what), printable(f"({row.by})") if row.by else ""


def _blocks(rows: Sequence[Row]) -> tuple[Text, str, str]:
    if len(rows) == 1:
        return _operation(rows[0])
    blocks = list(dict.fromkeys(row.block for row in rows))
    where = blocks[0] if len(blocks) == 1 else f"{blocks[0]} … {blocks[-1]}"
    params, macs = sum(row.node.cost.params for row in rows), sum(row.node.cost.macs for row in rows)
    size = f"{plural(len(blocks), 'block')}, {len(rows)} operations"
    return _line(rows[0].change, where), f"{size}: {params:,} params, {macs:,} MACs", ""


def _cost_title(diff: Difference) -> str:
    a, b = diff.a, diff.b
    size = f"{a.size}×{a.size}" if a.size == b.size else f"{a.size}×{a.size} in A, {b.size}×{b.size} in B"
    precision = a.precision if a.precision == b.precision else f"{a.precision} in A, {b.precision} in B"
    return f"forward cost per image ({size}); activations in {precision}"


def difference_of(kind: str, before: int, after: int) -> str:
    """Return the signed difference, also as a percentage of the first value."""
    if before == after:
        return "same"
    told = ("+" if after > before else "−") + amount(kind, abs(after - before))
    if not before:
        return told
    part = (after - before) / before
    return f"{told} ({part:+.1%})".replace("-", "−") if abs(part) >= 0.0005 else f"{told} (under 0.1%)"


def _costs(diff: Difference, width: int) -> list[RenderableType]:
    """Return the costs that differ, by stage, and every total; in columns if they fit, else in lines."""
    costs = diff.costs
    if not any(cost.differs for cost in costs):
        return []
    rows = []
    for kind, title in KINDS.items():
        for cost in costs:
            before, after = cost.numbers[kind]
            if cost is costs[-1] or (before != after and kind != "flops"):  # FLOPs are twice the MACs
                style = "dim" if before == after else "green" if after < before else "red"
                change = Text(difference_of(kind, before, after), style)
                stage = "overall" if cost is costs[-1] else printable(cost.stage)
                rows.append((title, stage, amount(kind, before), amount(kind, after), change))
                title = ""
    if 2 + sum(max(len(row[column]) for row in rows) + 2 for column in range(5)) > width:
        return [
            Text.assemble(f"{title}\n" if title else "", f"  {stage}: {before} → {after}, ", change)
            for title, stage, before, after, change in rows
        ]
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "left", "right", "right", "right"):
        table.add_column(justify=justify, no_wrap=True)
    table.add_row("", "", Text("A", "bold cyan"), Text("B", "bold magenta"), "")
    for row in rows:
        table.add_row(*row)
    return [table]


def _weights(diff: Difference) -> list[RenderableType]:
    weights = diff.weights
    loaded = len(weights.kept) + len(weights.adapted)
    total = loaded + len(weights.reshaped) + len(weights.lost)
    if weights.loads_entirely and not diff.graph:
        return []
    lines = (_line(change, f"{len(names)} {what}: ", _few(names)) for change, what, names in weights.changes)
    if weights.loads_entirely:
        return [f"a checkpoint of A loads entirely: {total} of {plural(total, 'tensor')}", *lines]
    return [f"{loaded} of {plural(total, 'tensor')} load from a checkpoint of A", *lines]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN_NAMES]) + (" …" if len(names) > SHOWN_NAMES else "")


def _training(diff: Difference, width: int) -> list[RenderableType]:
    lines: list[RenderableType] = [_line("changed", line) for line in training_lines(diff)]
    if diff.rates_differ:
        lines.append(plot(diff.a.schedule, diff.b.schedule, max(20, min(64, width - 16))))
    return lines


def training_lines(diff: Difference) -> list[str]:
    """Return the differences in training, one line each."""
    lines = []
    for name, a, b in diff.settings:
        title, write = WRITTEN.get(name, (name, lambda value: f"{value:,}" if isinstance(value, int) else value))
        unknown = "whole batches" if name == "micro" else "unknown until opened"
        lines.append(f"{title} {unknown if a is None else write(a)} → {unknown if b is None else write(b)}")
    highest = [facts.schedule.highest for facts in (diff.a, diff.b)]
    if diff.rates_differ and highest[0] != highest[1]:
        lines.append(f"highest learning rate {highest[0]:.4g} → {highest[1]:.4g}")
    lines += [f"{_regrouped(group)}   {_few(group.names)}" for group in diff.groups]
    return lines


def _regrouped(group: GroupChange) -> str:
    """Return how many parameters have other options, and which. Frozen ones have none."""
    before, after = group.before, group.after
    if FROZEN in after:
        changes = ["trained → frozen"]
    elif FROZEN in before:
        changes = ["frozen → trained", *(f"{name} {_option(value)}" for name, value in sorted(after.items()))]
    else:
        changes = [
            f"{name} {_option(before.get(name, '–'))} → {_option(after.get(name, '–'))}"
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        ]
    return f"{plural(len(group.names), 'parameter')}: {', '.join(changes)}"


def _option(value: Any) -> str:
    return shown(value) if not isinstance(value, bool) else "on" if value else "off"


WRITTEN: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "terms": ("loss", listed_terms),
    "mixes": ("mixed by", listed_terms),
    "targets": ("targets", shown_target),
}
"""Settings that are not numbers, with their titles and the functions that format their values."""


def measured_lines(diff: Difference) -> list[str]:
    """Return the results of `--measure`, one line each. Empty if nothing was measured."""
    if not diff.measured:
        return []
    times = diff.measured
    a, b, ratio = times["a"], times["b"], times["ratio"]
    return [
        f"step           {a['step_seconds'] * 1e3:,.1f} ms → {b['step_seconds'] * 1e3:,.1f} ms, "
        f"B / A {ratio['median']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})",
        f"images/s       {a['images_per_second']:,.0f} → {b['images_per_second']:,.0f}",
        f"peak memory    {a['peak_bytes'] / 1e9:.2f} GB → {b['peak_bytes'] / 1e9:.2f} GB, "
        f"B / A {b['peak_bytes'] / a['peak_bytes']:.3f}",
        f"on {times['device']}, batches of {plural(times['batch'], 'made-up image')}, "
        f"{plural(times['rounds'], 'alternating round')}",
    ]
