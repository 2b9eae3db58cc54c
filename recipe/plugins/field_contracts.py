"""The fields that the core reads of a trick, by the hook that it implements; what else a trick has is its own."""

from __future__ import annotations

from typing import Any, Self

import attrs


@attrs.frozen
class _Contract:
    @classmethod
    def of(cls, trick: Any) -> Self:
        """The values that a trick has for these fields; the defaults, where it lacks one."""
        names = (field.name for field in attrs.fields(cls))
        return cls(**{name: getattr(trick, name) for name in names if hasattr(trick, name)})


@attrs.frozen(kw_only=True)
class ImageFields(_Contract):
    """Of a trick that opens images. Those without a default are whole numbers that it must have."""

    size: int
    """Height and width of the images, in pixels."""
    workers: int
    """Processes that load batches ahead; 0 loads them in place."""
    on_error: str = "fail"
    """What an image that can't be read does."""

    @property
    def skips(self) -> bool:
        """Whether images that can't be read are passed over."""
        return self.on_error == "skip"


@attrs.frozen(kw_only=True)
class ModelFields(_Contract):
    """Of a trick that builds the stock model."""

    classes: int | None = None
    """The number of classes that the recipe asks for; None where it leaves that to the images."""
    weights: Any = None
    """What names its pretrained weights; what is wrong with them is reported there."""


WEIGHTS = attrs.fields(ModelFields).weights.name
"""The field that names pretrained weights."""

REQUIRED_OF_IMAGES = tuple(field.name for field in attrs.fields(ImageFields) if field.default is attrs.NOTHING)
"""The fields that a trick which opens images must have, each a whole number."""
