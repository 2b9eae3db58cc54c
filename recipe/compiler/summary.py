"""The summary of a compiled recipe as plain data, for diffs and explanations. Needs no torch.

`recipe.compiler.summarise` builds it from a program. The cache stores it as JSON without loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from recipe.base.typed_json import fitted, plain
from recipe.graph.cost import Cost

CURVE = 121
"""Number of points on a learning-rate curve, from the first step to the last."""

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}
"""Bytes per number in each precision."""

FROZEN = "frozen"
"""The option of the group of parameters that are frozen for the entire training."""


@attrs.frozen
class Node:
    """One operation of a graph.

    ``address`` identifies it (``layer2.0.conv1``), ``name`` is relative to its residual block (``conv1``), if any.
    ``settings`` are its arguments, ``reads`` are the addresses of its inputs, and ``shape`` is its output shape for
    one image. ``by`` is the trick that made or changed it, and ``touched`` are the settings that the trick changed.
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
    """Parameters with the same optimizer options."""

    options: Mapping[str, Any]
    names: tuple[str, ...]


@attrs.frozen
class Schedule:
    """How a recipe trains, as far as that is known before the images are opened."""

    epochs: int
    batch: int
    micro: int | str | None
    images: int | None
    """Number of training images, or None if it is unknown until they are opened."""
    steps_per_epoch: int | None
    rates: tuple[float, ...]
    """The learning rate at `CURVE` evenly spaced points, from the first step to the last."""
    highest: float
    """The highest learning rate, which may be between these points."""
    groups: tuple[Group, ...]
    targets: tuple[float, float]
    """The target probability of the true class and of every other class, before images are mixed."""
    mixes: tuple[str, ...]
    """Tricks that mix images and targets; one is drawn per batch."""
    terms: tuple[str, ...]
    """The terms of the loss."""


@attrs.frozen
class ProgramSummary:
    """Everything that is known about a compiled recipe."""

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
    """For each stock operation that was replaced, the trick that replaced it."""
    schedule: Schedule
    stem: str = ""
    """The weight of the first convolution, whose input channels weights may be adapted to, or empty without one."""

    @property
    def total(self) -> Cost:
        return sum(self.stages.values(), Cost())

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain JSON values."""
        data: dict[str, Any] = plain(self)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProgramSummary:
        """Rebuild a summary from the result of `to_dict`, even after a JSON round trip. Raises `Malformed`."""
        return fitted(data, cls)
