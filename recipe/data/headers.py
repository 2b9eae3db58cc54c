"""Read the headers of images: sizes and channels, and what is ignored when they are decoded."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
from PIL import Image

from recipe.base.wording import plural
from recipe.data.decode import faults_of, open_image
from recipe.data.modes import bits_of, kind_of, refused

LOOKED_AT = 100
"""The number of images of which the header is read, evenly spread, so that a large dataset opens quickly."""

ORIENTATION = 0x112
"""The tag of the EXIF orientation. 1 is upright."""

TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
"""The modes with an alpha channel."""


def ignored_in(paths: Sequence[Path], part: str) -> Iterator[str]:
    """Yield notes on an EXIF orientation and on transparency, which decoding ignores, if some images have them.

    ``part`` is what the images are for, such as ``training``. Images that can't be opened are left to `decode`.
    """
    chosen = paths[:: -(-len(paths) // LOOKED_AT) or 1]
    found = [_ignored_of(path) for path in chosen]
    for number, what in enumerate(("an EXIF orientation", "transparency")):
        having = [path for path, ignored in zip(chosen, found, strict=True) if ignored[number]]
        if having:
            some = f"{len(having)} of {plural(len(chosen), f'{part} image')}"
            looked = "" if len(chosen) == len(paths) else " that were looked at"
            has = "has" if len(having) == 1 else "have"
            yield f"{some}{looked} {has} {what}, which is ignored, such as `{having[0]}`"


@attrs.frozen
class Header:
    """What the header of an image says about its pixels."""

    width: int
    height: int
    kind: str
    """Its channels without transparency: ``gray``, ``RGB``, ``palette`` or another mode of Pillow."""
    bits: int
    """The bits of each channel: 8, 12 or 16."""
    turned: bool
    """Whether it has an EXIF orientation that is ignored."""
    transparent: bool
    """Whether it has transparency, which is ignored."""


def header_of(path: Path) -> Header:
    """Read the header of an image. Raises `RecipeError` (E070) if it shows that the image can't be decoded."""
    with open_image(path) as image:
        with faults_of(path):
            if why := refused(image):
                raise ValueError(why)
            kind, bits = kind_of(image), bits_of(image)
        return Header(image.width, image.height, kind, bits, *_ignored(image))


def _ignored_of(path: Path) -> tuple[bool, bool]:
    """Return whether an image has an orientation that is ignored, and whether it has transparency."""
    try:
        with open_image(path) as image:
            return _ignored(image)
    except Exception:  # damaged
        return False, False


def _ignored(image: Image.Image) -> tuple[bool, bool]:
    """Return whether an opened image has an orientation that is ignored, and whether it has transparency."""
    transparent = image.mode in TRANSPARENT or "transparency" in image.info
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return image.format != "TIFF" and image.getexif().get(ORIENTATION, 1) in range(2, 9), transparent
    except Exception:  # damaged, if only in its metadata
        return False, transparent
