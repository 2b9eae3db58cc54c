"""Training settings: plain values that the tricks of a plan make before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from types import NoneType
from typing import Any, get_args, get_type_hints

import attrs


@attrs.frozen
class Training:
    """The settings that tricks make in `configure`, with their defaults."""

    epochs: int = 1
    batch: int = 1
    micro: int | None = None
    micro_auto: bool = False  # find the largest micro-batch that fits
    synchronised: bool = False  # batch normalization across all processes
    seed: int = 0
    rate: float = 0.1
    rate_per_epoch: bool = False  # change the learning rate only between epochs
    warmup: float = 0.0  # epochs
    weight_decay: float = 0.0
    aux_weight: float = 0.0  # for the loss of auxiliary heads
    precision: str = "fp32"
    channels_last: bool = False
    compile_mode: str | None = None

    def steps(self, samples: int) -> int:
        """Return the batches per epoch: full ones, then the rest. A rest of one image joins the batch before it."""
        whole, rest = divmod(samples, self.batch)
        return max(1, whole + (rest > 1 or (rest == 1 and whole == 0)))

    def images(self, step: int, samples: int) -> slice:
        """Return the images of an epoch's step (from 0), as positions in the epoch's order of ``samples`` images."""
        start = step * self.batch
        return slice(start, samples if step == self.steps(samples) - 1 else start + self.batch)


_ABSTRACT: Mapping[type, tuple[type, str]] = {
    bool: (bool, "True or False"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "a string"),
}


@attrs.frozen
class SettingKind:
    """The type of a setting's value, which may be None if it is ``optional``."""

    type: type
    optional: bool = False

    @classmethod
    def of(cls, hint: Any) -> SettingKind:
        """Return the kind for a type such as ``int`` or ``int | None``."""
        types = {*(get_args(hint) or (hint,))}
        (kind,) = types - {NoneType}
        return cls(kind, NoneType in types)

    @property
    def expects(self) -> str:
        return _ABSTRACT[self.type][1] + (" or None" if self.optional else "")

    def holds(self, value: object) -> bool:
        """Whether a value is of this kind. True and False are not numbers."""
        if value is None:
            return self.optional
        return isinstance(value, _ABSTRACT[self.type][0]) and isinstance(value, bool) == (self.type is bool)


KINDS: Mapping[str, SettingKind] = {name: SettingKind.of(hint) for name, hint in get_type_hints(Training).items()}
"""The kind of each setting, by name."""
