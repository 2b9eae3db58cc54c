"""Decode an image file, crop it to a box, and resize it to uint8 pixels of a given size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from recipe.base.errors import fail

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]
Box = Callable[[int, int], Sequence[float] | Array]
"""A function from an image's height and width to a box in it: top, left, height and width in pixels."""

CROP = 224 / 256
"""The side of the centered square that evaluation uses, as a fraction of the short side (He et al., section 2.1)."""

VECTORS = torch.backends.cpu.get_cpu_capability().startswith("AVX")
"""Whether torch resizes uint8 with vector instructions. Without them, it is slower than Pillow."""


def decode(path: Path, size: int, box: Box | None) -> Pixels:
    """Decode a box of an image, by default its center, and resize it to uint8 (size, size, 3), bilinear, antialiased.

    Decodes a JPEG at 1/2, 1/4 or 1/8 of its size if the box still has at least size × size pixels. Ignores the EXIF
    orientation. Raises `RecipeError` (E070), which names the file, if it can't be decoded.
    """
    with _naming(path):
        image = Image.open(path)
    with image:
        area = np.asarray((box or centre)(image.height, image.width), np.float64)
        with _naming(path):
            scale = _draft(image, area, size)
            rgb = _rgb(image)
    return _resize(rgb, area / scale, size)


def centre(height: int, width: int) -> Array:
    """Return the evaluation box: a centered square of `CROP` of the short side."""
    side = min(height, width) * CROP
    return np.array([(height - side) / 2, (width - side) / 2, side, side])


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn errors from Pillow into a `RecipeError` that names the file."""
    try:
        yield
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError) as error:
        raise fail("E070", f"the image `{path}` can't be decoded: {error}") from None


def _draft(image: Image.Image, box: Array, size: int) -> int:
    """Decode a JPEG at 1/n of its size for speed if the box keeps size × size pixels. Returns n."""
    least = min(*box[2:].tolist(), *image.size)
    scale = next((scale for scale in (8, 4, 2) if least >= scale * size), 1)
    drafted = image.draft(None, (image.width // scale, image.height // scale))
    return scale if drafted else 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits per pixel, which `convert` would clip to 255
        image = image.point(lambda value: value / 256, "L")
    if image.mode != "RGB":
        return image.convert("RGB")
    image.load()
    return image


def _resize(image: Image.Image, box: Array, size: int) -> Pixels:
    """Resize a box of an RGB image to (size, size, 3). Raises `ValueError` if the box is outside the image."""
    top, left, height, width = box.tolist()
    edges = (left, top, left + width, top + height)
    within = 0 <= left < edges[2] <= image.width and 0 <= top < edges[3] <= image.height
    if not VECTORS or not within or any(edge % 1 for edge in edges):  # torch crops only whole pixels
        return np.array(image.resize((size, size), Image.Resampling.BILINEAR, box=edges))
    part = torch.from_numpy(np.array(image.crop(edges))).permute(2, 0, 1)[None]
    resized = F.interpolate(part, (size, size), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy()
