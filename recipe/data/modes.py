"""Turn the pixels of an opened image into 8-bit RGB by what its format says they mean, or refuse them.

- Shades and colors of up to 16 bits are scaled from their whole range: 0 to 65535 becomes 0 to 255.
- Palettes, CMYK, YCbCr and LAB are converted to RGB.
- Transparent pixels are mixed with a background, or their hidden colors are taken.
- An image is turned by its EXIF orientation, or not.
- Floats, integers of 32 bits and signed integers are refused, because no format says which values are black and white.
- 16-bit shades and colors that would all be black, or white in CMYK, are refused: their range is probably 0 to 255.
- TIFF files are refused if Pillow reads their pixels otherwise than the tags describe them.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, _imaging
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from recipe.data.appearance import EXIF, IGNORED, SHADES, Appearance
from recipe.data.checksums import verify_png
from recipe.data.turning import turn_of

CONVERTED = frozenset(("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB"))
"""The modes that Pillow converts to RGB by their meaning."""

PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
"""The modes whose colors are multiplied by their opacity, with the modes that undo it."""

TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
"""The modes with an alpha channel."""

UNBOUNDED = {"F": "floats", "I": "integers of 32 bits or with a sign"}
"""The modes whose range no format states."""

KINDS = {
    **dict.fromkeys(("1", "L", "LA", "La", "I"), "gray"),
    **dict.fromkeys(("RGB", "RGBA", "RGBX", "RGBa"), "RGB"),
    **dict.fromkeys(("P", "PA"), "palette"),
}
"""What the channels of some modes are."""

FAINT = "its {}-bit values are all below {}, which is {}; convert it to 8 bits"

BITS, COMPRESSION, PHOTOMETRIC, PLANES, COLOR_MAP, SAMPLE_FORMAT = 258, 259, 262, 284, 320, 339
"""Tags of TIFF, by number."""


def to_rgb(image: Image.Image, appearance: Appearance) -> Image.Image:
    """Return an image in RGB, of this appearance.

    Raises `ValueError` if its pixels are refused, or whatever its decoder raises.
    """
    rgb = _colors(image, appearance.background)
    turn = turn_of(image) if appearance.orientation == EXIF else None
    return rgb.transpose(turn.method) if turn else rgb


def _colors(image: Image.Image, background: str) -> Image.Image:
    """Return an image in RGB on a background."""
    if why := refused(image):
        raise ValueError(why)
    if isinstance(image, PngImageFile) and image.tile and image.fp is not None:  # it isn't loaded
        verify_png(image.fp)
    if bits := _deep(image):
        return _on(background, *_scaled(image, bits))
    if image.mode in PREMULTIPLIED:
        image = image.convert(PREMULTIPLIED[image.mode])
    least, step = _least_of_colors(image), _step(image)
    image.load()
    if least is not None:
        _refuse_faint(image, *least)
    if background == IGNORED or not is_transparent(image):
        return image if image.mode == "RGB" else image.convert("RGB")
    hidden = image.info.get("transparency")
    if image.mode in ("1", "L") and isinstance(hidden, int):
        gray = image.convert("L")
        return _on(background, gray, gray.point([0 if shade == hidden * step else 255 for shade in range(256)]))
    if image.mode == "RGB" and least is not None:
        raise ValueError("one of its colors of 16 bits is transparent, which is not supported; convert it to 8 bits")
    seen = image.convert("RGBA")
    return _on(background, seen, seen.getchannel(3))


def _on(background: str, image: Image.Image, opacity: Image.Image | None) -> Image.Image:
    """Return an image in RGB, mixed with a background where its opacity is below 255."""
    if background == IGNORED or opacity is None:
        return image.convert("RGB")
    mixed = Image.new("RGB", image.size, (SHADES[background],) * 3)
    mixed.paste(image, mask=opacity)
    return mixed


def is_transparent(image: Image.Image) -> bool:
    """Whether an image may have transparent pixels, by its header."""
    return image.mode in TRANSPARENT or "transparency" in image.info


def refused(image: Image.Image) -> str | None:
    """Return why the pixels of an image are refused, as far as its header shows, or None. Doesn't load them."""
    if isinstance(image, TiffImageFile):
        _mute_libtiff()
        if why := _misread(image):
            return f"{why}; convert it to 8-bit RGB"
    if _deep(image) or image.mode in PREMULTIPLIED or image.mode in CONVERTED:
        return None
    kind = UNBOUNDED.get(image.mode, "of a kind")
    return f"its pixels are {kind} (mode {image.mode}), without a stated range; convert it to 8 bits"


def bits_of(image: Image.Image) -> int:
    """Return the bits of each channel of an image that isn't loaded: 12 or 16, or 8 for all others."""
    return _deep(image) or (16 if _least_of_colors(image) else 8)


def kind_of(image: Image.Image) -> str:
    """Return the kind of an image's channels, without transparency: ``gray``, ``RGB``, ``palette`` or another mode."""
    mode = image.mode.split(";")[0]
    return KINDS.get(mode, mode)


def _deep(image: Image.Image) -> int | None:
    """Return the bits of a gray image that has more than 8 of them in each pixel, from 0 for black; otherwise None."""
    if image.mode.startswith("I;16"):
        return 12 if isinstance(image, TiffImageFile) and image.tag_v2.get(BITS) == (12,) else 16
    return 16 if image.mode == "I" and image.format in ("PNG", "PPM") else None


def _step(image: Image.Image) -> int:
    """Return what a step between stored shades of a PNG file becomes in 8 bits. Only one that isn't loaded says."""
    stored = image.tile[0][3] if image.format == "PNG" and isinstance(image, ImageFile) and image.tile else None
    return {"1": 255, "L;2": 85, "L;4": 17}.get(str(stored), 255 if image.mode == "1" else 1)


def _scaled(image: Image.Image, bits: int) -> tuple[Image.Image, Image.Image | None]:
    """Return a gray image of more than 8 bits with the highest 8 of them, and its opacity if a shade is transparent."""
    shades = np.asarray(image)
    black = 2 ** (bits - 8)
    if 0 < shades.max() < black:
        raise ValueError(FAINT.format(bits, black, "black"))
    hidden = image.info.get("transparency")
    opacity = Image.fromarray(np.where(shades == hidden, 0, 255).astype(np.uint8)) if isinstance(hidden, int) else None
    return Image.fromarray((shades >> (bits - 8)).astype(np.uint8)), opacity


def _least_of_colors(image: Image.Image) -> tuple[int, int] | None:
    """Return the least value that is visible in a color image of 16 bits, and what it becomes in 8; otherwise None.

    Pillow keeps the higher byte of such a value, except in PPM, where it rounds. Only an image that isn't loaded says.
    """
    stored = str(image.tile[0][3]) if isinstance(image, ImageFile) and image.tile else ""
    if image.format == "PPM":
        return (386, 2) if image.mode == "RGB" and stored.endswith("65535)") else None
    return (256, 1) if image.mode in ("RGB", "RGBA", "CMYK") and ";16" in stored else None


def _refuse_faint(image: Image.Image, least: int, shown: int) -> None:
    """Refuse a color image of 16 bits if all of its values are below ``least``, which becomes ``shown`` in 8 bits."""
    inks = image.mode == "CMYK"
    colors = image.getextrema()[: 4 if inks else 3]  # without the opacity
    if all(most < shown for _, most in colors):  # type: ignore[misc]
        raise ValueError(FAINT.format(16, least, "white" if inks else "black"))


def _misread(image: TiffImageFile) -> str | None:
    """Return why Pillow would read other pixels than a TIFF file describes, or None."""
    tags: Mapping[int, Any] = image.tag_v2
    bits: tuple[int, ...] = tags.get(BITS, (1,))
    photometric = tags.get(PHOTOMETRIC, 0)
    if 2 in tags.get(SAMPLE_FORMAT, ()):
        return "its pixels are integers with a sign"
    if photometric == 0 and max(bits) > 8:
        return "its largest values are black, which is not supported for more than 8 bits"
    if photometric == 6 and tags.get(COMPRESSION) not in (6, 7):
        return "its pixels are YCbCr, which is supported only in JPEG compression"
    if tags.get(PLANES, 1) == 2 and (photometric, tuple(bits)) != (2, (8, 8, 8)):
        return "its channels are stored one after the other, which is supported only for 8-bit RGB"
    if image.mode in ("P", "PA") and 0 < max(tags[COLOR_MAP]) < 256:
        return "the colors of its palette have 8 bits instead of 16"
    boxes = [tile[1] for tile in image.tile if tile[1]]
    stored = sum((right - left) * (bottom - top) for left, top, right, bottom in boxes)
    layers = len(bits) if tags.get(PLANES, 1) == 2 and tags.get(COMPRESSION, 1) == 1 else 1
    if stored < layers * image.width * image.height:
        return "a part of its pixels is missing"
    return None


@cache
def _mute_libtiff() -> None:
    """Keep libtiff from printing its errors, which Pillow raises as exceptions too."""
    with contextlib.suppress(OSError, AttributeError):  # built into Pillow
        set_handler = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
        set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
        set_handler(None)
