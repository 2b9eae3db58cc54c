"""Decode an image file, crop it to a box, and resize it to uint8 pixels of a given size."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import IO

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from recipe.base.errors import fail
from recipe.base.wording import first_line, reason_of, system_reason
from recipe.data.appearance import EXIF, VIEWED, Appearance
from recipe.data.encoded import ImageSource, opened_image
from recipe.data.formats import FORMATS, HEAD, NOT_READ, format_in
from recipe.data.modes import to_rgb
from recipe.data.turning import turn_of

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what Pillow logs about damaged files, it raises too

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]
Box = Callable[[int, int], Sequence[float] | Array]
"""A function from an image's height and width to a box in it: top, left, height and width in pixels."""

CROP = 224 / 256
"""The side of the centered square that evaluation uses, as a fraction of the short side (He et al., section 2.1)."""

CANNOT = " can't be decoded: "
"""What is between the name of an image and the reason in the message of an error."""

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
"""Pillow's name of each interpolation."""

VECTORS = torch.backends.cpu.get_cpu_capability().startswith("AVX")
"""Whether torch resizes uint8 with vector instructions. Without them, it is slower than Pillow."""


def decode(
    path: ImageSource,
    size: int,
    box: Box | None,
    interpolation: str = "bilinear",
    neighbors: bool = False,
    appearance: Appearance = VIEWED,
) -> Pixels:
    """Decode a box of an image, by default its center, and resize it to uint8 (size, size, 3), antialiased.

    ``neighbors`` is whether the pixels next to a box count at its edges, as if the whole image had been resized. For
    bilinear interpolation, they only count for a box whose edges are not whole pixels.

    The box is one of the upright image. Decodes a JPEG at 1/2, 1/4 or 1/8 of its size if the box still has at least
    size × size pixels. Raises `RecipeError` (E070), which names the file, if it can't be decoded, or if its pixels have
    no meaning that is known, as described in `recipe.data.modes`.
    """
    box = box or centre
    with open_image(path) as image:
        if image.format in ("JPEG", "MPO"):
            turn = turn_of(image) if appearance.orientation == EXIF else None
            sides = turn.sides(image.height, image.width) if turn else (image.height, image.width)
            area = np.asarray(box(*sides), np.float64)
            with faults_of(path):
                scale = _draft(image, area, size)
                rgb = to_rgb(image, appearance)
            area /= scale
            if turn:  # what a size is rounded up by stays where it was
                area[:2] += (turn.top * (rgb.height - sides[0] / scale), turn.left * (rgb.width - sides[1] / scale))
        else:
            with faults_of(path):
                rgb = to_rgb(image, appearance)
            # Only now is the size certain: older versions of Pillow turn a TIFF by its orientation when they load it.
            area = np.asarray(box(rgb.height, rgb.width), np.float64)
    return _resize(rgb, area, size, interpolation, neighbors)


def fitted(
    image: Image.Image,
    size: int,
    box: Box,
    name: str,
    interpolation: str = "bilinear",
    appearance: Appearance = VIEWED,
) -> Pixels:
    """Resize a box of an image that Pillow has opened, as evaluation does with a file: uint8 (size, size, 3).

    Raises `RecipeError` (E070), which calls the image ``name``, if its pixels can't be read or have no known meaning.
    """
    with faults_of(name):
        rgb = to_rgb(image, appearance)
    return _resize(rgb, np.asarray(box(rgb.height, rgb.width), np.float64), size, interpolation, neighbors=True)


def whole(image: ImageSource | Image.Image, name: str, appearance: Appearance = VIEWED) -> Pixels:
    """Return the pixels of an image file, or of an image that Pillow has opened: uint8 (H, W, 3).

    Raises `RecipeError` (E070), which calls the image ``name``, if they can't be read or have no known meaning.
    """
    with contextlib.ExitStack() as held:
        opened = image if isinstance(image, Image.Image) else held.enter_context(open_image(image))
        with faults_of(name):
            return np.array(to_rgb(opened, appearance))


@contextmanager
def open_image(path: ImageSource) -> Iterator[ImageFile]:
    """Open an image and read its header. Raises `RecipeError` (E070), which names the file, if that isn't possible."""
    with contextlib.ExitStack() as held:
        with faults_of(path) as told:
            file = held.enter_context(opened_image(path))
            if not file.seek(0, os.SEEK_END):
                raise ValueError("the file is empty")
            file.seek(0)
            image = _identified(file)
            _refuse_damaged_tags(image, told)
        with image:
            yield image


def _identified(file: IO[bytes]) -> ImageFile:
    """Open an image file. Raises `ValueError` for one in another format that is known by how it begins."""
    try:
        return Image.open(file, formats=formats())
    except UnidentifiedImageError:
        file.seek(0)
        if (other := format_in(file.read(HEAD))) and other not in formats():
            raise ValueError(f"its content is {other}, {NOT_READ} it to JPEG or PNG") from None
        raise


def centre(height: int, width: int, crop: float = CROP) -> Array:
    """Return the evaluation box: a centered square with a side of ``crop`` times the short side."""
    side = min(height, width) * crop
    return np.array([(height - side) / 2, (width - side) / 2, side, side])


@cache
def formats() -> tuple[str, ...]:
    """Return the formats that are read and that the installed Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextmanager
def faults_of(path: ImageSource | str) -> Iterator[list[warnings.WarningMessage]]:
    """Turn whatever opening and decoding an image raises into a `RecipeError` that names the file.

    Decoders of damaged files raise almost any exception. Yields the warnings, which aren't shown.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            yield told
        except Exception as error:
            raise fail("E070", f"the image `{path}`{CANNOT}{_reason(error)}") from None


def _refuse_damaged_tags(image: Image.Image, told: list[warnings.WarningMessage]) -> None:
    """Refuse a TIFF file if some of its tags, which say what its pixels mean, were left out with a warning.

    In other formats, tags are only metadata, such as the camera's.
    """
    texts = [str(warning.message) for warning in told if "Metadata Warning" not in str(warning.message)]
    if image.format == "TIFF" and texts:
        raise ValueError(f"its tags are damaged: {texts[0]}")


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        numbers = [f"{int(number):,}" for number in re.findall("[0-9]+", str(error))]
        has, most = f" {numbers[0]}" if numbers else "", 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return (
            f"it has{has} pixels, more than the {most:,} that are decoded, since it may fill the memory: scale it down"
        )
    if isinstance(error, UnidentifiedImageError):
        *some, last = formats()
        return f"its content is damaged, or in none of the formats {', '.join(some)} and {last}"
    if isinstance(error, MemoryError):
        return "there is too little memory"
    if isinstance(error, OSError) and error.strerror:
        return system_reason(error)
    told = isinstance(error, (OSError, SyntaxError, ValueError)) and re.search("[a-z]{3}", str(error))
    return reason_of(error) if told else first_line(error)


def _draft(image: Image.Image, box: Array, size: int) -> int:
    """Decode a JPEG at 1/n of its size for speed if the box keeps size × size pixels. Returns n."""
    least = min(*box[2:].tolist(), *image.size)
    scale = next((scale for scale in (8, 4, 2) if least >= scale * size), 1)
    drafted = image.draft(None, (image.width // scale, image.height // scale))
    return scale if drafted else 1


def _resize(image: Image.Image, box: Array, size: int, interpolation: str, neighbors: bool) -> Pixels:
    """Resize a box of an RGB image to (size, size, 3). Raises `ValueError` if the box is outside the image."""
    filter = RESAMPLING[interpolation]
    top, left, height, width = box.tolist()
    edges = (left, top, left + width, top + height)
    within = 0 <= left < edges[2] <= image.width and 0 <= top < edges[3] <= image.height
    plain = interpolation == "bilinear"
    if not within or any(edge % 1 for edge in edges) or (neighbors and not plain):  # a crop has only whole pixels
        return np.array(image.resize((size, size), filter, box=edges))
    cropped = image.crop(edges)  # without its neighbors, which Pillow would use at the edges of a box
    if not (VECTORS and plain):
        return np.array(cropped.resize((size, size), filter))
    part = torch.from_numpy(np.array(cropped)).permute(2, 0, 1)[None]
    resized = F.interpolate(part, (size, size), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy()
