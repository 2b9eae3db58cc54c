"""All that a checkpoint holds: the one place where its schema is stated, and checked when it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from torch import Tensor

VERSION = 1
"""The version of the schema; a change of what a field is or means raises it."""


class OtherVersion(Exception):
    """A checkpoint has a schema of another version than `VERSION`; the message is a clause about the checkpoint."""


Check = Callable[[Any, Any, Any], None]


def _is_a(*kinds: type) -> Check:
    def check(state: Any, field: Any, value: Any) -> None:
        if not isinstance(value, kinds):
            raise ValueError(f"its {field.name} is not a {' or '.join(kind.__name__ for kind in kinds)}")

    return check


def _at_least(lowest: int) -> Check:
    def check(state: Any, field: Any, value: Any) -> None:
        if not isinstance(value, int) or value < lowest:
            raise ValueError(f"its {field.name} is not an integer of at least {lowest}")

    return check


def _is_text(state: Any, field: Any, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"its {field.name} is not a text")


def _are_weights(state: Any, field: Any, value: Any) -> None:
    """Refuse what is not a state dict; the average may be None."""
    if value is None and field.name == "average":
        return
    if not isinstance(value, dict):
        raise ValueError(f"its {field.name} is not a state dict")
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ValueError(f"its {field.name} is not a state dict")


def _are_meters(state: Any, field: Any, value: Any) -> None:
    if not isinstance(value, list):
        raise ValueError("its meters are not a list")
    for meter in value:
        if not isinstance(meter, dict) or meter.keys() != {"loss", "correct", "images"}:
            raise ValueError("its meters are not sums of a process")


def _are_skipped(state: Any, field: Any, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(entry, list) and len(entry) == 3 for entry in value):
        raise ValueError("its skipped images are not a list of part, number and reason")


@attrs.frozen(eq=False)
class TrainingState:
    """All that a training needs to resume to the bit. No random state: randomness follows from seed, epoch and image.

    Raises `ValueError` for a value that its field can't have.
    """

    digest: str = attrs.field(validator=_is_text)
    """Of the plan and of the model that is trained."""
    plugins: dict[str, str] = attrs.field(validator=_is_a(dict))
    """A digest of the code of each trick of a plugin, by the trick's words."""
    step: int = attrs.field(validator=_at_least(0))
    """Updates done."""
    steps_per_epoch: int = attrs.field(validator=_at_least(1))
    training_images: int = attrs.field(validator=_at_least(0))
    micro: int | None = attrs.field(validator=_is_a(int, type(None)))
    """Images computed at a time; None where a batch is computed whole."""
    model: dict[str, Tensor] = attrs.field(validator=_are_weights)
    optimizer: dict[str, Any] = attrs.field(validator=_is_a(dict))
    optimizer_kind: str = attrs.field(validator=_is_a(str))
    """The name of the optimizer's class."""
    scaler: dict[str, Any] = attrs.field(validator=_is_a(dict))
    """Of the loss scaler; empty where there is none."""
    average: dict[str, Tensor] | None = attrs.field(validator=_are_weights)
    """The averaged model, where the training keeps one."""
    meters: list[dict[str, Any]] = attrs.field(factory=list, validator=_are_meters)
    """What each process has counted since the last line of metrics: loss, correct and images."""
    epoch_evaluated: bool = attrs.field(default=True, validator=_is_a(bool))
    """Whether the epoch that ended with the last step has been evaluated."""
    skipped: list[list[Any]] = attrs.field(factory=list, validator=_are_skipped)
    """Images that can't be decoded: part (`training` or `evaluation`), number there, and why."""
    notes: list[str] = attrs.field(factory=list, validator=_is_a(list))
    """What the summary reports of this training."""

    def to_dict(self) -> dict[str, Any]:
        """Plain containers and tensors, with the version of the schema."""
        return {"version": VERSION, **{field.name: getattr(self, field.name) for field in attrs.fields(type(self))}}

    @classmethod
    def from_dict(cls, content: Any) -> TrainingState:
        """The state that `to_dict` gave, checked; all weights must be finite.

        Raises `OtherVersion` for a checkpoint with another schema, and `ValueError` for what is not a checkpoint.
        """
        if not isinstance(content, dict):
            raise ValueError("not a checkpoint of a training")
        version = _version(content)
        if version != VERSION:
            written = f"format version {version}" if version else "a format without a version"
            raise OtherVersion(f"has {written}, and this release of recipe reads version {VERSION}")
        names = {field.name for field in attrs.fields(cls)}
        if not names <= content.keys() or not content["meters"]:
            raise ValueError("not a checkpoint of a training")
        state = cls(**{name: content[name] for name in names})
        for name, tensor in {**state.model, **(state.average or {})}.items():
            if not tensor.isfinite().all():
                raise ValueError(f"its {name} is not finite")
        return state


def _version(content: Mapping[str, Any]) -> int:
    """The version of the schema of a checkpoint; 0 for those that were written before there was a version."""
    if "version" not in content and {"digest", "step", "model", "optimizer"} <= content.keys():
        return 0
    version = content.get("version")
    if not isinstance(version, int):
        raise ValueError("not a checkpoint of a training")
    return version
