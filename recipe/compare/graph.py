"""Align the stages, residual blocks and operations of two graphs, and find what differs.

An alignment minimizes a total price. An unpaired operation costs 1. A pair at the same address is free, or cheap if its
settings differ. A pair at different addresses costs 0.5. `resnet50` and `resnet101` therefore share the blocks that
both have, and the other blocks are added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

import attrs

from recipe.compiler.summary import Node, ProgramSummary

COMMUTATIVE = ("add", "mul")
ALONE, OTHER_SETTINGS, OTHER_ADDRESS, OTHER_KIND = 1.0, 0.3, 0.5, 0.9

T = TypeVar("T")
Part = tuple[Node, ...]
"""The operations of a residual block, or a single operation outside any block."""


@attrs.frozen
class Row:
    """A row of the alignment: an operation from each graph, or from only one of them."""

    stage: str
    block: str
    a: Node | None
    b: Node | None
    settings: tuple[tuple[str, Any, Any], ...] = ()
    """Settings that differ: name, value in ``a``, value in ``b``."""
    replaced: str = ""
    """For an unpaired operation: the trick of the other side that replaced it."""

    @property
    def change(self) -> str:
        """``added``, ``removed``, ``changed``, ``moved`` (same operation at a different address), or empty."""
        if self.a is None:
            return "added"
        if self.b is None:
            return "removed"
        if self.settings:
            return "changed"
        return "moved" if self.a.address != self.b.address else ""

    @property
    def node(self) -> Node:
        node = self.b or self.a
        assert node is not None
        return node

    @property
    def by(self) -> str:
        """The trick that caused the difference, if any. A trick on both sides causes none."""
        if self.a is None or self.b is None:
            return self.node.by or self.replaced
        names = {name for name, _, _ in self.settings}
        mine, theirs = (
            node.by if names & set(node.touched) or "*" in node.touched else "" for node in (self.a, self.b)
        )
        return "" if mine == theirs else " → ".join(filter(None, (mine, theirs)))

    def mirrored(self) -> Row:
        """Return the row with its sides swapped."""
        settings = tuple((name, after, before) for name, before, after in self.settings)
        return Row(self.stage, self.block, self.b, self.a, settings, self.replaced)


def align(a: ProgramSummary, b: ProgramSummary) -> tuple[Row, ...]:
    """Return every operation of both graphs once, in graph order. ``align(b, a)`` is the mirror image."""
    if a.digest > b.digest:  # always align in one order, so that ties break the same way
        return tuple(row.mirrored() for row in align(b, a))
    pairs: list[tuple[Node | None, Node | None]] = []
    for stage in _merged([node.stage for node in a.nodes], [node.stage for node in b.nodes]):
        mine, theirs = (_parts(node for node in facts.nodes if node.stage == stage) for facts in (a, b))
        for part_a, part_b in _aligned(mine, theirs, _part_price):
            nodes = _aligned(part_a or (), part_b or (), _node_price)
            pairs += nodes
    partner = {"image": "image"} | {node_a.address: node_b.address for node_a, node_b in pairs if node_a and node_b}
    reads_a, reads_b = _reads(a, {*partner}), _reads(b, {*partner.values()})
    rows = []
    for node_a, node_b in pairs:
        if node_a and node_b:
            before, after = reads_a[node_a.address], reads_b[node_b.address]
            settings = _changed_settings(node_a, node_b)
            if node_a.reads != node_b.reads and _rewired(node_a.kind, [partner.get(name) for name in before], after):
                settings.append(("reads", before, after))
            rows.append(Row(node_a.stage, node_a.block, node_a, node_b, tuple(settings)))
        elif node := node_a or node_b:
            replaced = (b if node_a else a).replaced.get(node.address, "")
            rows.append(Row(node.stage, node.block, node_a, node_b, replaced=replaced))
    return tuple(rows)


def _merged(a: Iterable[str], b: Iterable[str]) -> list[str]:
    """Merge two lists of names: ``a`` in its order, with each name that only ``b`` has after its predecessor there."""
    names = list(dict.fromkeys(a))
    place = 0
    for name in dict.fromkeys(b):
        if name not in names:
            names.insert(place, name)
        place = names.index(name) + 1
    return names


def _parts(nodes: Iterable[Node]) -> list[Part]:
    parts: dict[tuple[str, str], list[Node]] = {}
    for node in nodes:
        parts.setdefault((node.block, "" if node.block else node.address), []).append(node)
    return [tuple(part) for part in parts.values()]


def _part_price(a: Part, b: Part) -> float | None:
    block_a, block_b = a[0].block, b[0].block
    if not (block_a and block_b):
        return None if block_a or block_b else _node_price(a[0], b[0])
    same = [(x.name, x.kind, x.settings) for x in a] == [(x.name, x.kind, x.settings) for x in b]
    if block_a == block_b:
        return 0.0 if same else OTHER_SETTINGS
    return OTHER_ADDRESS if same else None


def _node_price(a: Node, b: Node) -> float | None:
    same = a.kind == b.kind and a.settings == b.settings
    if a.name == b.name:
        return 0.0 if same else OTHER_SETTINGS if a.kind == b.kind else OTHER_KIND
    return OTHER_ADDRESS if same else None


def _aligned(a: Sequence[T], b: Sequence[T], price: Callable[[T, T], float | None]) -> list[tuple[T | None, T | None]]:
    """Return the cheapest alignment of two sequences. Equal items at both ends are paired directly."""
    start = 0
    while start < min(len(a), len(b)) and price(a[start], b[start]) == 0:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and price(a[-1 - end], b[-1 - end]) == 0:
        end += 1
    left, right = a[start : len(a) - end], b[start : len(b) - end]
    best: dict[tuple[int, int], tuple[float, int, int]] = {}
    """For each pair of positions: the price to the end, and how far the first step moves in ``left`` and ``right``."""
    for i in range(len(left), -1, -1):
        for j in range(len(right), -1, -1):
            steps = []
            if i < len(left) and j < len(right) and (together := price(left[i], right[j])) is not None:
                steps.append((together + best[i + 1, j + 1][0], 1, 1))
            if i < len(left):
                steps.append((ALONE + best[i + 1, j][0], 1, 0))
            if j < len(right):
                steps.append((ALONE + best[i, j + 1][0], 0, 1))
            best[i, j] = min(steps, key=lambda step: step[0], default=(0.0, 0, 0))
    pairs: list[tuple[T | None, T | None]] = list(zip(a[:start], b[:start], strict=True))
    i = j = 0
    while i < len(left) or j < len(right):
        _, of_left, of_right = best[i, j]
        pairs.append((left[i] if of_left else None, right[j] if of_right else None))
        i, j = i + of_left, j + of_right
    return [*pairs, *zip(a[len(a) - end :], b[len(b) - end :], strict=True)]


def _reads(facts: ProgramSummary, common: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return what each operation reads, skipping operations that only this graph has."""
    by_address = {node.address: node for node in facts.nodes}

    def seen(address: str) -> str:
        while address not in common and by_address[address].reads:
            address = by_address[address].reads[0]
        return address

    return {node.address: tuple(seen(address) for address in node.reads) for node in facts.nodes}


def _rewired(kind: str, before: Sequence[str | None], after: Sequence[str]) -> bool:
    return Counter(before) != Counter(after) if kind in COMMUTATIVE else [*before] != [*after]


def _changed_settings(a: Node, b: Node) -> list[tuple[str, Any, Any]]:
    if a.kind != b.kind:
        return [("kind", a.kind, b.kind)]
    names = dict.fromkeys([*a.settings, *b.settings])
    pairs = [(name, a.settings.get(name), b.settings.get(name)) for name in names]
    return [(name, before, after) for name, before, after in pairs if before != after]
