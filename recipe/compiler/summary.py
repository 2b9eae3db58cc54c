"""What is known of a compiled recipe, as plain data: what a diff compares, and an explanation shows. Needs no torch.

`recipe.compiler.summarise` makes it from a program; it goes into the cache as JSON and comes back as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from recipe.graph.cost import Cost

CURVE = 121
"""Points of a learning-rate curve, from the first step to the last."""

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}
"""Bytes of a number in each precision."""


@attrs.frozen
class Node:
    """One operation of a graph.

    ``address`` names it (``layer2.0.conv1``), ``name`` within its residual block (``conv1``), if it is in one.
    ``settings`` is what it was made with, ``reads`` are the addresses of its inputs, ``shape`` is that of its output
    for one image, ``by`` is the trick that made or changed it, ``touched`` the settings that it changed.
    """

    address: str
    name: str
    stage: str
    block: str
    kind: str
    settings: Mapping[str, Any]
    reads: tuple[str, ...]
    shape: tuple[int, ...]
    cost: Cost
    by: str = ""
    touched: tuple[str, ...] = ()


@attrs.frozen
class Tensor:
    """A parameter, or a buffer such as a running mean, of the rewritten model."""

    name: str
    shape: tuple[int, ...]
    parameter: bool

    @property
    def numel(self) -> int:
        count = 1
        for side in self.shape:
            count *= side
        return count


@attrs.frozen
class Group:
    """Parameters with equal options in the optimizer."""

    options: Mapping[str, Any]
    names: tuple[str, ...]


@attrs.frozen
class Schedule:
    """How a recipe trains, as far as it is known before the images are opened."""

    epochs: int
    batch: int
    micro: int | str | None
    images: int | None
    """Training images; None where only opening them would tell."""
    steps_per_epoch: int | None
    rates: tuple[float, ...]
    """The learning rate at `CURVE` points, evenly from the first step to the last."""
    groups: tuple[Group, ...]
    targets: tuple[float, float]
    """What the true class and each other class get of a target distribution, before images are mixed."""
    mixes: tuple[str, ...]
    """Tricks that mix images and targets; one is drawn per batch."""
    terms: tuple[str, ...]
    """The terms of the loss."""


@attrs.frozen
class ProgramSummary:
    """All that is known of a compiled recipe."""

    digest: str
    model: str
    size: int
    classes: int
    precision: str
    nodes: tuple[Node, ...]
    stages: Mapping[str, Cost]
    tensors: tuple[Tensor, ...]
    fates: Mapping[str, str]
    replaced: Mapping[str, str]
    """Of every stock operation that a trick put others in the place of: the trick."""
    schedule: Schedule

    @property
    def total(self) -> Cost:
        return sum(self.stages.values(), Cost())

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return attrs.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProgramSummary:
        """From what `to_dict` gave, also after a journey through JSON."""
        schedule = data["schedule"]
        nodes = tuple(
            Node(
                **{
                    **node,
                    "settings": {name: _tuples(value) for name, value in node["settings"].items()},
                    "reads": tuple(node["reads"]),
                    "shape": tuple(node["shape"]),
                    "cost": Cost(**node["cost"]),
                    "touched": tuple(node["touched"]),
                }
            )
            for node in data["nodes"]
        )
        made = {
            "nodes": nodes,
            "stages": {name: Cost(**cost) for name, cost in data["stages"].items()},
            "tensors": tuple(Tensor(t["name"], tuple(t["shape"]), t["parameter"]) for t in data["tensors"]),
            "schedule": Schedule(
                **{
                    **schedule,
                    "rates": tuple(schedule["rates"]),
                    "groups": tuple(Group(g["options"], tuple(g["names"])) for g in schedule["groups"]),
                    "targets": (schedule["targets"][0], schedule["targets"][1]),
                    "mixes": tuple(schedule["mixes"]),
                    "terms": tuple(schedule["terms"]),
                }
            ),
        }
        return cls(**{**data, **made})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, (list, tuple)) else value
