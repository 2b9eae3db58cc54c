"""Training settings: plain values that the tricks of a plan make before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from sys import float_info
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import attrs

from recipe.base.channels import GRAY, RGB


@attrs.frozen
class Range:
    """The finite numbers that a setting accepts."""

    minimum: float
    maximum: float = float_info.max

    def __contains__(self, value: float) -> bool:
        return self.minimum <= value <= self.maximum

    def __str__(self) -> str:
        return f" of at least {self.minimum:g}" + (
            f" and of at most {self.maximum:,}" if self.maximum < float_info.max else ""
        )


Channels = tuple[float, ...]
"""A number for each channel of images: three, or one of gray images."""

INTERPOLATIONS = ("bilinear", "bicubic")
"""How images are resized."""

VIEWS = ("single", "flip", "five-crop", "ten-crop")
"""The views of an image whose predictions an evaluation averages."""

PRECISIONS = ("fp32", "fp16", "bf16")
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
"""The modes of `torch.compile`."""


@attrs.frozen
class Training:
    """The settings that tricks make in `configure`, with their defaults."""

    epochs: Annotated[int, Range(1, 100_000)] = 1
    """The length of the training, in epochs."""
    batch: Annotated[int, Range(1, 1_000_000)] = 1
    """Images per step, over all processes and micro-batches."""
    micro: Annotated[int | None, Range(1)] = None
    """The largest number of images that a process computes at once, or None for its whole share of a batch."""
    micro_auto: bool = False
    """Whether to find the largest micro-batch that fits in the device's memory."""
    synchronised: bool = False
    """Whether batch normalization computes its statistics across all processes."""
    statistics_images: Annotated[int | None, Range(2)] = None
    """How many training images, at most those of an epoch, an evaluation computes the statistics of batch normalization
    from, or None for the running statistics of the training."""
    seed: Annotated[int, Range(0, 2**31 - 1)] = 0
    """The seed of initial weights, the order of images, and all random draws."""
    rate: Annotated[float, Range(0)] = 0.1
    """The base learning rate, before all factors."""
    rate_per_epoch: bool = False
    """Whether the learning rate changes only between epochs, once the warmup is over."""
    warmup: Annotated[float, Range(0, 100_000)] = 0.0
    """The length of the warmup, in epochs."""
    weight_decay: Annotated[float, Range(0)] = 0.0
    """The weight decay of each parameter for which no trick sets another."""
    aux_weight: Annotated[float, Range(0)] = 0.0
    """The weight of the loss of each auxiliary head."""
    precision: Annotated[str, PRECISIONS] = "fp32"
    """The requested precision: ``fp32``, ``fp16`` or ``bf16``."""
    channels_last: bool = False
    """Whether weights and images are stored with their channels last in memory."""
    compile_mode: Annotated[str | None, COMPILE_MODES] = None
    """The mode of `torch.compile`, or None to train without it."""
    keep_by: str | None = None
    """The metric whose best evaluation's weights the run keeps, or None to keep the last weights."""
    channels: Annotated[int, Range(GRAY, RGB)] = RGB
    """The channels of the model's inputs: 1 for gray images, 3 for RGB."""
    mean: Annotated[Channels | None, Range(0, 1)] = None
    """The mean of each channel of the images, which is subtracted from it, or None for that of the dataset."""
    std: Annotated[Channels | None, Range(1e-4, 1)] = None
    """The deviation of each channel of the images, which it is divided by, or None for that of the dataset."""
    interpolation: Annotated[str, INTERPOLATIONS] = "bilinear"
    """How images are resized."""
    evaluation_size: Annotated[int | None, Range(1)] = None
    """The height and width of the images for evaluation, in pixels, or None for those of the training."""
    evaluation_crop: Annotated[float | None, Range(0, 1)] = None
    """The part of the short side that evaluation keeps, or None for the default of the dataset."""
    evaluation_whole: bool = False
    """Whether evaluation resizes the whole image, even if that changes its aspect ratio."""
    evaluation_interpolation: Annotated[str | None, INTERPOLATIONS] = None
    """How images are resized for evaluation, or None to resize them as for training."""
    evaluation_views: Annotated[str | None, VIEWS] = None
    """The views of each image whose predictions evaluation averages, or None for a single one."""

    def steps(self, samples: int) -> int:
        """Return the batches per epoch: full ones, then the rest. A rest of one image joins the batch before it."""
        whole, rest = divmod(samples, self.batch)
        return max(1, whole + (rest > 1 or (rest == 1 and whole == 0)))

    def images(self, step: int, samples: int) -> slice:
        """Return the images of an epoch's step (from 0), as positions in the epoch's order of ``samples`` images."""
        start = step * self.batch
        return slice(start, samples if step == self.steps(samples) - 1 else start + self.batch)


_ACCEPTED: Mapping[Any, tuple[Any, str]] = {
    bool: (bool, "True or False"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    str: (str, "a string"),
    Channels: (tuple, "a tuple of three numbers, or of one for gray images"),
}


@attrs.frozen
class SettingKind:
    """The type of a setting's value, which may be None if it is ``optional``, and which values are ``among`` them."""

    type: Any
    optional: bool = False
    among: Range | tuple[str, ...] | None = None

    @classmethod
    def of(cls, hint: Any) -> SettingKind:
        """Return the kind for a type such as ``int`` or ``Annotated[int | None, Range(1)]``."""
        hint, among = get_args(hint) if get_origin(hint) is Annotated else (hint, None)
        types = {*get_args(hint)} if get_origin(hint) is UnionType else {hint}
        (kind,) = types - {NoneType}
        return cls(kind, NoneType in types, among)

    @property
    def expects(self) -> str:
        each = ", each" if self.type == Channels else ""
        what = _ACCEPTED[self.type][1] + (f"{each}{self.among}" if isinstance(self.among, Range) else "")
        if isinstance(self.among, tuple):
            what = f"one of {', '.join(map(repr, self.among))}"
        return what + (" or None" if self.optional else "")

    def holds(self, value: Any) -> bool:
        """Whether a value is of this kind. True and False are not numbers."""
        if value is None:
            return self.optional
        if self.type == Channels:
            each = SettingKind(float, among=self.among)
            return isinstance(value, tuple) and len(value) in (GRAY, RGB) and all(map(each.holds, value))
        fits = isinstance(value, _ACCEPTED[self.type][0]) and isinstance(value, bool) == (self.type is bool)
        return fits and (self.among is None or value in self.among)


KINDS: Mapping[str, SettingKind] = {
    name: SettingKind.of(hint) for name, hint in get_type_hints(Training, include_extras=True).items()
}
"""The kind of each setting, by name."""
