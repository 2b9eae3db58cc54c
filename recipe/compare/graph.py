"""Two graphs side by side: their stages, residual blocks and operations are aligned, and what differs is told.

An alignment is the cheapest one under a small set of prices: an operation left alone costs 1, one that has its
partner at the same address costs nothing, or little where its settings differ, and one at another address a half. So
`resnet50` beside `resnet101` pairs the blocks that both have, and shows the others as added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

import attrs

from recipe.compiler.summary import Node, ProgramSummary

COMMUTATIVE = ("add", "mul")
ALONE, OTHER_SETTINGS, OTHER_ADDRESS, OTHER_KIND = 1.0, 0.3, 0.5, 0.9


@attrs.frozen
class Row:
    """A place of the alignment: an operation of each graph, or of one of them alone."""

    stage: str
    block: str
    a: Node | None
    b: Node | None
    settings: tuple[tuple[str, Any, Any], ...] = ()
    """What differs between the two: name, value in ``a``, value in ``b``."""
    replaced: str = ""
    """For an operation alone: the trick of the other side that put others in its place."""

    @property
    def change(self) -> str:
        """``added``, ``removed``, ``changed``, ``moved`` (the same at another address), or nothing."""
        if self.a is None:
            return "added"
        if self.b is None:
            return "removed"
        if self.settings:
            return "changed"
        return "moved" if self.a.address != self.b.address else ""

    @property
    def node(self) -> Node:
        found = self.b or self.a
        assert found is not None
        return found

    @property
    def by(self) -> str:
        """The trick that made the difference, where one did: one of both sides made none."""
        if self.a is None or self.b is None:
            return self.node.by or self.replaced
        names = {name for name, _, _ in self.settings}
        mine, theirs = (
            node.by if names & set(node.touched) or "*" in node.touched else "" for node in (self.a, self.b)
        )
        return "" if mine == theirs else " → ".join(filter(None, (mine, theirs)))

    def mirrored(self) -> Row:
        """The row of the difference the other way round."""
        settings = tuple((name, after, before) for name, before, after in self.settings)
        return Row(self.stage, self.block, self.b, self.a, settings, self.replaced)


@attrs.frozen
class _Part:
    """A residual block, or an operation outside of one."""

    name: str
    nodes: tuple[Node, ...]
    block: bool

    @property
    def content(self) -> tuple[Any, ...]:
        return tuple((node.name if self.block else "", node.kind, tuple(node.settings.items())) for node in self.nodes)


def align(a: ProgramSummary, b: ProgramSummary) -> tuple[Row, ...]:
    """Every operation of both graphs once, in the order of the graphs. ``align(b, a)`` is the mirror image."""
    if a.digest > b.digest:  # one order is worked out, so that ties can't fall differently
        return tuple(row.mirrored() for row in align(b, a))
    pairs: list[tuple[Node | None, Node | None]] = []
    for stage in _merged([n.stage for n in a.nodes], [n.stage for n in b.nodes]):
        mine, theirs = (_parts(node for node in facts.nodes if node.stage == stage) for facts in (a, b))
        for one, other in _aligned(mine, theirs, _price):
            left, right = one.nodes if one else (), other.nodes if other else ()
            inside = bool((one or other) and (one or other).block)  # type: ignore[union-attr]
            pairs += _aligned(left, right, lambda x, y, inside=inside: _node_price(x, y, inside))  # type: ignore[misc]
    wires = _wires(a, b, pairs)
    return tuple(_row(one, other, wires) for one, other in pairs)


def removed_first(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows in the order in which people read a difference: where both sides have their own, those of A first."""
    found: list[Row] = []
    for _, run in groupby(rows, key=lambda row: (row.stage, row.block, row.change in ("added", "removed"))):
        found += sorted(run, key=lambda row: row.change == "added")
    return tuple(found)


def _merged(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """The names of both, each once: those of ``a`` in order, those that only ``b`` has after what they follow there."""
    found = list(dict.fromkeys(a))
    place = 0
    for name in dict.fromkeys(b):
        if name in found:
            place = found.index(name) + 1
        else:
            found.insert(place, name)
            place += 1
    return found


def _parts(nodes: Iterable[Node]) -> list[_Part]:
    grouped: dict[str, list[Node]] = {}
    for node in nodes:
        grouped.setdefault(node.block or f" {node.address}", []).append(node)
    return [_Part(name.strip(), tuple(found), not name.startswith(" ")) for name, found in grouped.items()]


def _price(a: _Part, b: _Part) -> float | None:
    if a.block != b.block:
        return None
    if not a.block:
        return _node_price(a.nodes[0], b.nodes[0], False)
    if a.name == b.name:
        return 0.0 if a.content == b.content else OTHER_SETTINGS
    return OTHER_ADDRESS if a.content == b.content else None


def _node_price(a: Node, b: Node, inside: bool) -> float | None:
    same = a.kind == b.kind and a.settings == b.settings
    if (a.name == b.name) if inside else (a.address == b.address):
        return 0.0 if same else OTHER_SETTINGS if a.kind == b.kind else OTHER_KIND
    return OTHER_ADDRESS if same else None


T = TypeVar("T", Node, _Part)


def _aligned(a: Sequence[T], b: Sequence[T], price: Callable[[T, T], float | None]) -> list[tuple[T | None, T | None]]:
    """The cheapest alignment of two sequences; what is alike at their beginnings and ends is paired at once."""
    start = 0
    while start < min(len(a), len(b)) and price(a[start], b[start]) == 0:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and price(a[-1 - end], b[-1 - end]) == 0:
        end += 1
    left, right = a[start : len(a) - end], b[start : len(b) - end]
    best = [[0.0] * (len(right) + 1) for _ in range(len(left) + 1)]
    prices = [[price(x, y) for y in right] for x in left]
    for i in range(len(left), -1, -1):
        for j in range(len(right), -1, -1):
            if i == len(left) or j == len(right):
                best[i][j] = ALONE * (len(left) - i + len(right) - j)
                continue
            together = prices[i][j]
            options: list[float] = [best[i + 1][j] + ALONE, best[i][j + 1] + ALONE]
            best[i][j] = min(options if together is None else [together + best[i + 1][j + 1], *options])
    paired: list[tuple[T | None, T | None]] = list(zip(a[:start], b[:start], strict=True))
    i = j = 0
    while i < len(left) or j < len(right):
        together = prices[i][j] if i < len(left) and j < len(right) else None
        if together is not None and best[i][j] == together + best[i + 1][j + 1]:
            paired.append((left[i], right[j]))
            i, j = i + 1, j + 1
        elif i < len(left) and (j == len(right) or best[i][j] == best[i + 1][j] + ALONE):
            paired.append((left[i], None))
            i += 1
        else:
            paired.append((None, right[j]))
            j += 1
    paired += zip(a[len(a) - end :], b[len(b) - end :], strict=True)
    return paired


@attrs.frozen
class _Wires:
    """Which operations each one reads, over those that only one graph has; and which ones a trick has replaced."""

    a: Mapping[str, tuple[str, ...]]
    b: Mapping[str, tuple[str, ...]]
    partner: Mapping[str, str]
    replaced_a: Mapping[str, str]
    replaced_b: Mapping[str, str]


def _wires(a: ProgramSummary, b: ProgramSummary, pairs: Sequence[tuple[Node | None, Node | None]]) -> _Wires:
    partner = {one.address: other.address for one, other in pairs if one and other}
    partner["image"] = "image"
    return _Wires(_reads(a, set(partner)), _reads(b, set(partner.values())), partner, a.replaced, b.replaced)


def _reads(facts: ProgramSummary, common: set[str]) -> dict[str, tuple[str, ...]]:
    by_address = {node.address: node for node in facts.nodes}

    def seen(address: str) -> str:
        while address not in common and by_address[address].reads:
            address = by_address[address].reads[0]
        return address

    return {node.address: tuple(seen(address) for address in node.reads) for node in facts.nodes}


def _row(one: Node | None, other: Node | None, wires: _Wires) -> Row:
    node = one or other
    assert node is not None
    if one is None or other is None:
        replaced = wires.replaced_b.get(node.address, "") if one else wires.replaced_a.get(node.address, "")
        return Row(node.stage, node.block, one, other, replaced=replaced)
    found: list[tuple[str, Any, Any]] = []
    if one.kind != other.kind:
        found.append(("kind", one.kind, other.kind))
    names = dict.fromkeys([*one.settings, *other.settings]) if one.kind == other.kind else ()
    for name in names:
        before, after = one.settings.get(name), other.settings.get(name)
        if before != after:
            found.append((name, before, after))
    before, after = wires.a[one.address], wires.b[other.address]
    there = tuple(wires.partner.get(address, "") for address in before)
    same = sorted(there) == sorted(after) if one.kind in COMMUTATIVE else there == after
    if not same and one.reads != other.reads:
        found.append(("reads", before, after))
    return Row(node.stage, node.block, one, other, tuple(found))
