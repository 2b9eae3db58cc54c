"""The difference between two compiled recipes, as data. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from itertools import groupby
from typing import Any, Self

import attrs

from recipe.base.channels import adaptable
from recipe.compare.graph import Row, align
from recipe.compare.results import Results
from recipe.compiler.summary import BYTES, ProgramSummary
from recipe.plan.changes import ValueChange, WordChange, compare_words, reordered
from recipe.plan.plan import Plan

KINDS = {"params": "params", "macs": "MACs", "flops": "FLOPs", "activation_bytes": "activation memory"}
"""The kinds of cost, with their titles."""


@attrs.frozen
class CostChange:
    """The cost of a stage, or of the whole network, before and after, for each of `KINDS`."""

    stage: str
    numbers: Mapping[str, tuple[int, int]]

    @property
    def differs(self) -> bool:
        return any(before != after for before, after in self.numbers.values())


@attrs.frozen
class Weights:
    """What B can load from a checkpoint of A, tensor by tensor."""

    kept: tuple[str, ...]
    adapted: tuple[str, ...]
    """The weight of a first convolution for gray instead of RGB images, or the reverse, which is loaded adapted."""
    reshaped: tuple[str, ...]
    lost: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def loads_entirely(self) -> bool:
        """Whether B loads the whole checkpoint: all names and shapes are the same, or can be adapted."""
        return not (self.reshaped or self.lost or self.new)

    @property
    def changes(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Tensors that do not load as they are: the kind of change, a description, and their names."""
        changes = [
            ("changed", "adapted to the input channels of B", self.adapted),
            ("changed", "with a different shape in B", self.reshaped),
            ("removed", "missing from B", self.lost),
            ("added", "new in B", self.new),
        ]
        return [change for change in changes if change[2]]


@attrs.frozen
class GroupChange:
    """Parameters of both models that the optimizer treats differently."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    names: tuple[str, ...]


@attrs.frozen(slots=False)
class Difference:
    """The difference between two recipes, A and B. Each part is empty if nothing differs."""

    name_a: str
    """The name of A in texts and pages."""
    name_b: str
    """The name of B in texts and pages."""
    a: ProgramSummary
    """What A compiles to, as plain data: its graph, costs, tensors and training schedule."""
    b: ProgramSummary
    """What B compiles to, as plain data."""
    words: tuple[WordChange, ...]
    """Tricks that are ``added``, ``removed`` or ``changed`` in B, in reading order."""
    order: tuple[tuple[str, str], ...]
    """Pairs of tricks that share a slot, where A applies the first one first and B the second."""
    measured: Mapping[str, Any] | None = None
    """The result of `recipe diff --measure`, or None if nothing was measured."""
    imageless: str = ""
    """The side that names no dataset, ``A`` or ``B``, if the other side names one."""
    results: Results | None = None
    """The results, if both sides are runs that have been evaluated."""

    @classmethod
    def between(
        cls, name_a: str, plan_a: Plan, a: ProgramSummary, name_b: str, plan_b: Plan, b: ProgramSummary
    ) -> Self:
        """Return the difference between two plans, given their names and summaries."""
        sides = [side for side, plan in (("A", plan_a), ("B", plan_b)) if plan.images is None]
        imageless = sides[0] if len(sides) == 1 else ""
        words, order = compare_words(plan_a, plan_b), reordered(plan_a, plan_b)
        return cls(name_a, name_b, a, b, words, order, imageless=imageless)

    @property
    def empty(self) -> bool:
        """Whether the two recipes are equivalent."""
        return self.a.digest == self.b.digest and not (self.words or self.order)

    def __bool__(self) -> bool:
        return not self.empty

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The two graphs, aligned. Operations that only A has come before those that only B has."""
        rows: list[Row] = []
        for _, run in groupby(align(self.a, self.b), lambda row: (row.stage, row.block, bool(row.a and row.b))):
            rows += sorted(run, key=lambda row: row.a is None)
        return tuple(rows)

    @property
    def graph(self) -> tuple[Row, ...]:
        """Operations that only one graph has, or whose settings differ."""
        return tuple(row for row in self.rows if row.change not in ("", "moved"))

    @property
    def costs(self) -> tuple[CostChange, ...]:
        """The costs of each stage of either network, then of ``in all``."""
        a, b = _costs(self.a), _costs(self.b)
        stages = dict.fromkeys([*(row.stage for row in self.rows), *self.a.stages, *self.b.stages, "in all"])
        nothing = dict.fromkeys(KINDS, 0)
        return tuple(
            CostChange(stage, {kind: (a.get(stage, nothing)[kind], b.get(stage, nothing)[kind]) for kind in KINDS})
            for stage in stages
            if stage in a or stage in b
        )

    @cached_property
    def weights(self) -> Weights:
        """The names of the tensors of A that B keeps, adapts, reshapes or loses, and of those that are new in B."""
        mine, theirs = ({tensor.name: tensor for tensor in facts.tensors} for facts in (self.a, self.b))
        kept = [name for name in mine if name in theirs and mine[name].shape == theirs[name].shape]
        others = [name for name in mine if name in theirs and mine[name].shape != theirs[name].shape]
        stem = self.b.stem if self.b.stem == self.a.stem else ""
        adapted = [name for name in others if name == stem and adaptable(mine[name].shape, theirs[name].shape)]
        return Weights(
            kept=tuple(kept),
            adapted=tuple(adapted),
            reshaped=tuple(name for name in others if name not in adapted),
            lost=tuple(name for name in mine if name not in theirs),
            new=tuple(name for name in theirs if name not in mine),
        )

    @property
    def groups(self) -> tuple[GroupChange, ...]:
        """Parameters that moved to a different parameter group."""
        mine, theirs = (
            {name: group.options for group in facts.schedule.groups for name in group.names}
            for facts in (self.a, self.b)
        )
        moved: dict[str, list[str]] = {}
        for name in (name for name in mine if name in theirs and mine[name] != theirs[name]):
            moved.setdefault(json.dumps([mine[name], theirs[name]], sort_keys=True), []).append(name)
        return tuple(GroupChange(mine[names[0]], theirs[names[0]], tuple(names)) for names in moved.values())

    @property
    def settings(self) -> tuple[tuple[str, Any, Any], ...]:
        """Training settings that differ: name, value in A, value in B."""
        a, b = self.a.schedule, self.b.schedule
        names = ("epochs", "batch", "micro", "images", "steps_per_epoch", "targets", "mixes", "terms")
        pairs = [(name.replace("_", " "), getattr(a, name), getattr(b, name)) for name in names]
        pairs += [("classes", self.a.classes, self.b.classes), ("image size", self.a.size, self.b.size)]
        return tuple(pair for pair in pairs if pair[1] != pair[2])

    @property
    def rates_differ(self) -> bool:
        """Whether the learning rates differ by more than the error from rounding to whole steps."""
        a, b = self.a.schedule, self.b.schedule
        near = 0.0 if a.steps_per_epoch == b.steps_per_epoch else 0.01 * max(a.highest, b.highest)
        pairs = zip((*a.rates, a.highest), (*b.rates, b.highest), strict=True)
        return a.epochs != b.epochs or any(abs(x - y) > near for x, y in pairs)

    def mirrored(self) -> Self:
        """Return the difference from B to A."""
        sides = {"added": "removed", "removed": "added"}
        words = []
        for word in self.words:
            values = tuple(
                ValueChange(value.field, value.after, value.before, value.origin_after, value.origin_before)
                for value in word.values
            )
            words.append(attrs.evolve(word, change=sides.get(word.change, word.change), values=values))
        order = tuple((second, first) for first, second in self.order)
        measured = None
        if self.measured is not None:
            ratio = self.measured["ratio"]
            inverse = {"median": 1 / ratio["median"], "low": 1 / ratio["high"], "high": 1 / ratio["low"]}
            measured = {**self.measured, "a": self.measured["b"], "b": self.measured["a"], "ratio": inverse}
        imageless = {"A": "B", "B": "A"}.get(self.imageless, "")
        results = self.results.mirrored() if self.results else None
        return type(self)(self.name_b, self.name_a, self.b, self.a, tuple(words), order, measured, imageless, results)

    def to_dict(self) -> dict[str, Any]:
        """Return the difference as plain JSON values, which docs/reference/json.md describes."""
        return {
            "schema_version": 1,
            "a": {"name": self.name_a, "digest": self.a.digest, "model": self.a.model},
            "b": {"name": self.name_b, "digest": self.b.digest, "model": self.b.model},
            "empty": self.empty,
            "words": [attrs.asdict(word) for word in self.words],
            "order": [list(pair) for pair in self.order],
            "graph": [
                {
                    "change": row.change,
                    "stage": row.stage,
                    "block": row.block or None,
                    "a": row.a.address if row.a else None,
                    "b": row.b.address if row.b else None,
                    "kind": row.node.kind,
                    "settings": [{"name": n, "before": before, "after": after} for n, before, after in row.settings],
                    "by": row.by or None,
                }
                for row in self.graph
            ],
            "costs": [
                {"stage": cost.stage, **{name: {"a": a, "b": b} for name, (a, b) in cost.numbers.items()}}
                for cost in self.costs
            ],
            "weights": {
                **{name: list(names) for name, names in attrs.asdict(self.weights).items()},
                "entire": self.weights.loads_entirely,
            },
            "training": {
                "settings": [{"name": name, "a": a, "b": b} for name, a, b in self.settings],
                "groups": [attrs.asdict(group) for group in self.groups],
                "rates": {"a": list(self.a.schedule.rates), "b": list(self.b.schedule.rates)},
            },
            "measured": dict(self.measured) if self.measured else None,
            "results": self.results.to_dict() if self.results else None,
        }

    def to_json(self) -> str:
        """Return the result of `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2)


def _costs(facts: ProgramSummary) -> dict[str, dict[str, int]]:
    """Return the number of each of `KINDS`, for every stage and for all of them."""
    return {
        stage: {
            "params": cost.params,
            "macs": cost.macs,
            "flops": cost.flops,
            "activation_bytes": cost.activations * BYTES[facts.precision],
        }
        for stage, cost in {**facts.stages, "in all": facts.total}.items()
    }
