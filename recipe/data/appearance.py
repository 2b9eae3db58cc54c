"""How images look before they are cropped: which way is up, and what is behind transparent pixels. Needs no torch."""

from __future__ import annotations

import attrs
from attrs.validators import in_

EXIF, STORED = "exif", "stored"
"""The two orientations."""

ORIENTATIONS = (EXIF, STORED)
"""Whether an image is turned by its EXIF orientation, or is as it is stored. A TIFF file is always turned."""

SHADES = {"white": 255, "black": 0, "gray": 128}
"""The shade of each background, from 0 to 255."""

IGNORED = "ignored"
"""The background of images whose transparency is ignored, so that hidden colors become visible."""

BACKGROUNDS = (*SHADES, IGNORED)
"""What may be behind transparent pixels."""


@attrs.frozen
class Appearance:
    """How images look before they are cropped. The defaults are what viewers show."""

    orientation: str = attrs.field(default=EXIF, validator=in_(ORIENTATIONS))
    """Whether an image is turned by its EXIF orientation: one of `ORIENTATIONS`."""
    background: str = attrs.field(default="white", validator=in_(BACKGROUNDS))
    """What is behind transparent pixels: one of `BACKGROUNDS`."""


VIEWED = Appearance()
"""How viewers show images."""

AS_STORED = Appearance(STORED, IGNORED)
"""How images looked in earlier releases."""
