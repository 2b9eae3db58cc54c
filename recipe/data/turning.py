"""Turn images by their EXIF orientation."""

from __future__ import annotations

import warnings

import attrs
from PIL import Image

ORIENTATION = 0x112
"""The tag of the EXIF orientation. 1 is upright."""


STATED = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}
"""Where Pillow finds the orientation of an image, if it has one. Most images have none of them."""


@attrs.frozen
class Turn:
    """How an image is turned, and which of its edges were the right and the bottom one before."""

    method: Image.Transpose
    swaps: bool = False
    """Whether height and width are exchanged."""
    left: bool = False
    """Whether its left edge was one of them."""
    top: bool = False
    """Whether its top edge was one of them."""

    def sides(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width of an image after it is turned."""
        return (width, height) if self.swaps else (height, width)


_Method = Image.Transpose

TURNS = {
    2: Turn(_Method.FLIP_LEFT_RIGHT, left=True),
    3: Turn(_Method.ROTATE_180, left=True, top=True),
    4: Turn(_Method.FLIP_TOP_BOTTOM, top=True),
    5: Turn(_Method.TRANSPOSE, swaps=True),
    6: Turn(_Method.ROTATE_270, swaps=True, left=True),
    7: Turn(_Method.TRANSVERSE, swaps=True, left=True, top=True),
    8: Turn(_Method.ROTATE_90, swaps=True, top=True),
}
"""How an image of each EXIF orientation becomes upright."""


def turn_of(image: Image.Image) -> Turn | None:
    """Return how an image becomes upright, or None if it is, or if its orientation is damaged or unknown.

    Pillow turns a TIFF file when it loads it. Of a PNG file that isn't loaded, what follows its pixels isn't read.
    """
    if image.format == "TIFF" or not STATED & image.info.keys():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            orientation = Image.Image.getexif(image).get(ORIENTATION)  # that of PNG would load the image
    except Exception:  # damaged, if only in its metadata
        return None
    return TURNS.get(orientation) if isinstance(orientation, int) else None
