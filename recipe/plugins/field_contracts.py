"""The fields that the core reads from a trick, by the hook that it implements. Its other fields are its own."""

from __future__ import annotations

from typing import Any, Self

import attrs

from recipe.data.appearance import BACKGROUNDS, ORIENTATIONS, VIEWED, Appearance


@attrs.frozen
class _Contract:
    @classmethod
    def of(cls, trick: Any) -> Self:
        """Return a trick's values for these fields, with defaults for those that it lacks."""
        names = (field.name for field in attrs.fields(cls))
        return cls(**{name: getattr(trick, name) for name in names if hasattr(trick, name)})


@attrs.frozen(kw_only=True)
class ImageFields(_Contract):
    """The fields of a trick that opens images. Those without a default are required whole numbers."""

    size: int
    """Height and width of the images, in pixels."""
    workers: int
    """The number of processes that load batches ahead of time; 0 loads them in the training process."""
    on_error: str = "fail"
    """What to do about an image that can't be read."""

    orientation: str = VIEWED.orientation
    """Whether images are turned by their EXIF orientation: one of `ORIENTATIONS`."""
    background: str = VIEWED.background
    """What is behind transparent pixels: one of `BACKGROUNDS`."""

    @property
    def appearance(self) -> Appearance:
        """How images look before they are cropped."""
        return Appearance(self.orientation, self.background)

    @property
    def skips(self) -> bool:
        """Whether images that can't be read are skipped."""
        return self.on_error == SKIP


@attrs.frozen(kw_only=True)
class ModelFields(_Contract):
    """The fields of a trick that builds the stock model."""

    classes: int | None = None
    """The number of classes that the recipe requests, or None to use that of the images."""
    weights: Any = None
    """The name of its pretrained weights. Errors in the weights point here."""
    least: float | None = None
    """The part of the model, without its last layer, that the weights must set, or None for the default."""


ON_ERROR, SKIP = attrs.fields(ImageFields).on_error.name, "skip"
"""The field for images that can't be read, and its value to skip them."""

APPEARANCE = {"orientation": ORIENTATIONS, "background": BACKGROUNDS}
"""The fields for how images look before they are cropped, with the words that they may take."""

SIZE = attrs.fields(ImageFields).size.name
"""The field that is both the height and the width of images."""

WEIGHTS = attrs.fields(ModelFields).weights.name
"""The field that names pretrained weights."""

LEAST = attrs.fields(ModelFields).least.name
"""The field for the part of the model that pretrained weights must set."""

CLASSES = attrs.fields(ModelFields).classes.name
"""The field that requests a number of classes."""

REQUIRED_OF_IMAGES = tuple(field.name for field in attrs.fields(ImageFields) if field.default is attrs.NOTHING)
"""The fields that a trick which opens images must have, each a whole number."""
