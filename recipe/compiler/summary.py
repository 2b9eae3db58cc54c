"""What is known of a compiled recipe, as plain data: what a diff compares, and an explanation shows. Needs no torch.

`recipe.compiler.summarise` makes it from a program; it goes into the cache as JSON and comes back as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import attrs

from recipe.graph.cost import Cost

if TYPE_CHECKING:
    from cattrs import Converter

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
        data: dict[str, Any] = _converter().unstructure(self)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProgramSummary:
        """From what `to_dict` gave, also after a journey through JSON. Raises an exception for anything else."""
        return _converter().structure(data, cls)


@cache
def _converter() -> Converter:
    """To JSON values and back: every value comes back as it was, and one of another type is refused."""
    from cattrs.preconf.json import make_converter

    converter = make_converter(forbid_extra_keys=True, detailed_validation=False)
    for kind in (bool, int, float, str):
        converter.register_structure_hook(kind, _as_it_is)
    converter.register_structure_hook_func(lambda kind: kind is Any, lambda value, _: _tuples(value))
    return converter


def _as_it_is(value: Any, kind: type) -> Any:
    if not isinstance(value, (int, float) if kind is float else kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _tuples(value: Any) -> Any:
    """A value of a setting, which JSON has lists in where it had tuples."""
    return tuple(_tuples(part) for part in value) if isinstance(value, (list, tuple)) else value
