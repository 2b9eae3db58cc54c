"""The contents of a checkpoint. This module alone defines the schema, and checks it on reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from attrs.validators import and_, deep_iterable, deep_mapping, ge, in_, instance_of, max_len, min_len, optional
from torch import Tensor

from recipe.base.typed_json import fitted
from recipe.runs.best import Best
from recipe.runs.records import Evaluated

VERSION = 2
"""The schema version. Raise it when the fields or their meanings change."""


class OtherVersion(Exception):
    """A checkpoint has a schema version other than `VERSION`. The message is a clause about the checkpoint."""


def check_version(content: Any) -> None:
    """Raise `OtherVersion` if a checkpoint's content is of another version, and `ValueError` if it isn't one at all."""
    if not isinstance(content, dict) or not {"digest", "step", "model", "optimizer"} <= content.keys():
        raise ValueError("not a training checkpoint")
    if (version := content.get("version")) != VERSION:
        written = f"format version {version}" if "version" in content else "a format without a version"
        raise OtherVersion(f"has {written}, but this release of recipe reads version {VERSION}")


ADDED = frozenset(("evaluations", "best"))
"""The fields that checkpoints of this version may lack, because they were added later."""


def _fits(kind: Any) -> Callable[[Any, Any, Any], None]:
    """Return a validator for plain values that fit a type, or None."""

    def check(instance: Any, attribute: Any, value: Any) -> None:
        if value is not None:
            fitted(value, kind)

    return check


_WEIGHTS = deep_mapping(instance_of(str), instance_of(Tensor), instance_of(dict))
_COUNT = and_(instance_of(int), ge(0))
_SUMS = deep_mapping(in_(("loss", "correct", "images")), instance_of((int, float)), and_(min_len(3), instance_of(dict)))
_SKIPPED = and_(instance_of(list), min_len(3), max_len(3))


@attrs.frozen(eq=False)
class TrainingState:
    """Everything needed to resume bit for bit. No random state: randomness depends only on seed, epoch and image.

    Raises `TypeError` or `ValueError` for an invalid field value.
    """

    digest: str = attrs.field(validator=and_(instance_of(str), min_len(1)))
    """Digest of the plan and of the trained model."""
    plugins: dict[str, str] = attrs.field(validator=instance_of(dict))
    """Digest of the code of each plugin trick, by the trick's words."""
    step: int = attrs.field(validator=_COUNT)
    """Number of updates done."""
    steps_per_epoch: int = attrs.field(validator=and_(instance_of(int), ge(1)))
    training_images: int = attrs.field(validator=_COUNT)
    micro: int | None = attrs.field(validator=optional(instance_of(int)))
    """Images computed at a time, or None if each batch is computed whole."""
    model: dict[str, Tensor] = attrs.field(validator=_WEIGHTS)
    optimizer: dict[str, Any] = attrs.field(validator=instance_of(dict))
    optimizer_kind: str = attrs.field(validator=instance_of(str))
    """The name of the optimizer's class."""
    scaler: dict[str, Any] = attrs.field(validator=instance_of(dict))
    """State of the loss scaler; empty if there is none."""
    average: dict[str, Tensor] | None = attrs.field(validator=optional(_WEIGHTS))
    """The averaged model, if there is one."""
    meters: list[dict[str, Any]] = attrs.field(factory=list, validator=deep_iterable(_SUMS, instance_of(list)))
    """Sums of each process since the last line of metrics: loss, correct and images."""
    epoch_evaluated: bool = attrs.field(default=True, validator=instance_of(bool))
    """Whether the epoch that ended with the last step has been evaluated."""
    skipped: list[list[Any]] = attrs.field(factory=list, validator=deep_iterable(_SKIPPED, instance_of(list)))
    """Images that can't be decoded: part (`training` or `evaluation`), index in that part, and reason."""
    notes: list[str] = attrs.field(factory=list, validator=instance_of(list))
    """Notes for the run's summary."""
    evaluations: list[dict[str, Any]] | None = attrs.field(default=None, validator=_fits(list[Evaluated]))
    """The results of all evaluations so far, or None if an earlier release wrote the checkpoint."""
    best: dict[str, Any] | None = attrs.field(default=None, validator=_fits(Best))
    """The evaluation whose weights are in `model.safetensors`, if the run keeps the best ones."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain containers and tensors, with the schema version."""
        return {"version": VERSION, **{field.name: getattr(self, field.name) for field in attrs.fields(type(self))}}

    @classmethod
    def from_dict(cls, content: Any) -> TrainingState:
        """Rebuild a state from the result of `to_dict`, and check it.

        Raises `OtherVersion` for a checkpoint with another schema, and `TypeError` or `ValueError` for anything else.
        """
        names = {field.name for field in attrs.fields(cls)} - (ADDED - content.keys())
        check_version(content)
        if missing := names - content.keys():
            raise OtherVersion(f"has no `{min(missing)}`, which this release of recipe needs")
        if not content["meters"]:
            raise ValueError("not a training checkpoint")
        return cls(**{name: content[name] for name in names})
