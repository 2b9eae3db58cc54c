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
    """The length of the training, in epochs."""
    batch: int = 1
    """Images per step, over all processes and micro-batches."""
    micro: int | None = None
    """The largest number of images that a process computes at once, or None for its whole share of a batch."""
    micro_auto: bool = False
    """Whether to find the largest micro-batch that fits in the device's memory."""
    synchronised: bool = False
    """Whether batch normalization computes its statistics across all processes."""
    seed: int = 0
    """The seed of initial weights, the order of images, and all random draws."""
    rate: float = 0.1
    """The base learning rate, before all factors."""
    rate_per_epoch: bool = False
    """Whether the learning rate changes only between epochs, once the warmup is over."""
    warmup: float = 0.0
    """The length of the warmup, in epochs."""
    weight_decay: float = 0.0
    """The weight decay of each parameter for which no trick sets another."""
    aux_weight: float = 0.0
    """The weight of the loss of each auxiliary head."""
    precision: str = "fp32"
    """The requested precision: ``fp32``, ``fp16`` or ``bf16``."""
    channels_last: bool = False
    """Whether weights and images are stored with their channels last in memory."""
    compile_mode: str | None = None
    """The mode of `torch.compile`, or None to train without it."""

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
