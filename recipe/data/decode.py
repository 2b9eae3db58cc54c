"""From an image file to uint8 pixels of one size: decoded, cropped to a box and resized."""

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
"""From an image's height and width to a box in it: top, left, height, width, in pixels."""

VECTORS = torch.backends.cpu.get_cpu_capability().startswith("AVX")
"""Whether torch resizes uint8 by vector instructions; without them it is slower than Pillow."""


def decode(path: Path, size: int, box: Box | None) -> Pixels:
    """The part of an image in its box, or else its centre, resized to uint8 (size, size, 3), bilinear, antialiased.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that leaves the box size × size pixels. The orientation that
    EXIF gives is left aside. Raises `RecipeError` (E070), which names the file, where it can't be decoded.
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
    """The box of an evaluation (He et al., section 2.1): short side to 256, centre crop of 224, and in proportion."""
    side = min(height, width) * 224 / 256
    return np.array([(height - side) / 2, (width - side) / 2, side, side])


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """What Pillow raises about a file, with the file's name."""
    try:
        yield
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError) as error:
        raise fail("E070", f"the image `{path}` can't be decoded: {error}") from None


def _draft(image: Image.Image, box: Array, size: int) -> int:
    """Have a JPEG decoded at 1/n of its size, as long as the box keeps size × size pixels: n. It is faster so."""
    least = min(*box[2:].tolist(), *image.size)
    scale = next((scale for scale in (8, 4, 2) if least >= scale * size), 1)
    drafted = image.draft(None, (image.width // scale, image.height // scale))
    return scale if drafted else 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel, which `convert` would clip to 255
        image = image.point(lambda value: value / 256, "L")
    if image.mode != "RGB":
        return image.convert("RGB")
    image.load()
    return image


def _resize(image: Image.Image, box: Array, size: int) -> Pixels:
    """The part of an RGB image in a box, resized to (size, size, 3). Raises ValueError where the box lies outside."""
    top, left, height, width = box.tolist()
    edges = (left, top, left + width, top + height)
    within = 0 <= left < edges[2] <= image.width and 0 <= top < edges[3] <= image.height
    if not VECTORS or not within or any(edge % 1 for edge in edges):  # torch takes whole pixels only
        return np.array(image.resize((size, size), Image.Resampling.BILINEAR, box=edges))
    part = torch.from_numpy(np.array(image.crop(edges))).permute(2, 0, 1)[None]
    resized = F.interpolate(part, (size, size), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy()
