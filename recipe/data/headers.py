"""Read the headers of images: sizes and channels, EXIF orientations and transparency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from recipe.base.wording import plural
from recipe.data.appearance import IGNORED, STORED, Appearance
from recipe.data.decode import faults_of, open_image
from recipe.data.encoded import ImageSource
from recipe.data.modes import bits_of, is_transparent, kind_of, refused
from recipe.data.turning import turn_of

LOOKED_AT = 100
"""The number of images of which the header is read, evenly spread, so that a large dataset opens quickly."""


def noticed_in(paths: Sequence[ImageSource], part: str, appearance: Appearance) -> Iterator[str]:
    """Yield notes on transparency, and on an EXIF orientation that is ignored, if some images have them.

    ``part`` is what the images are for, such as ``training``. Images that can't be opened are left to `decode`.
    """
    chosen = paths[:: -(-len(paths) // LOOKED_AT) or 1]
    found = [_marks_of(path) for path in chosen]
    ignored, background = "which is ignored", appearance.background
    said = {
        "an EXIF orientation": ignored if appearance.orientation == STORED else "",
        "transparency": ignored if background == IGNORED else f"which is shown on {background}",
    }
    for number, (what, how) in enumerate(said.items()):
        having = [path for path, marks in zip(chosen, found, strict=True) if marks[number]]
        if having and how:
            sample = "" if len(chosen) == len(paths) else "a sample of "
            has = "has" if len(having) == 1 else "have"
            some = f"{len(having)} of {sample}{plural(len(chosen), f'{part} image')} {has} {what}"
            yield f"{some}, {how}, such as `{having[0]}`"


@attrs.frozen
class Header:
    """What the header of an image says about its pixels."""

    width: int
    """Its width, in pixels, after it is turned."""
    height: int
    """Its height, in pixels, after it is turned."""
    kind: str
    """Its channels without transparency: ``gray``, ``RGB``, ``palette`` or another mode of Pillow."""
    bits: int
    """The bits of each channel: 8, 12 or 16."""
    turned: bool
    """Whether its EXIF orientation isn't upright. Pillow turns TIFF files itself."""
    transparent: bool
    """Whether it may have transparent pixels."""


def header_of(path: ImageSource, appearance: Appearance) -> Header:
    """Read the header of an image of this appearance.

    Raises `RecipeError` (E070) if it shows that the image can't be decoded.
    """
    with open_image(path) as image:
        with faults_of(path):
            if why := refused(image):
                raise ValueError(why)
            kind, bits = kind_of(image), bits_of(image)
        turn, height, width = turn_of(image), image.height, image.width
        if turn is not None and appearance.orientation != STORED:
            height, width = turn.sides(height, width)
        return Header(width, height, kind, bits, turn is not None, is_transparent(image))


def _marks_of(path: ImageSource) -> tuple[bool, bool]:
    """Return whether an image has an orientation that isn't upright, and whether it may have transparent pixels."""
    try:
        with open_image(path) as image:
            return turn_of(image) is not None, is_transparent(image)
    except Exception:  # damaged
        return False, False
