"""Read image files with OpenCV, which shares no code with Pillow but the libraries of the formats."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from recipe.data.decode import formats
from tests.odd_files.making import RIGHT, Made, Pixels, upright

AVAILABLE = find_spec("cv2") is not None
"""Whether OpenCV is installed, as with the extra `benchmarks`."""


def available(one: Made) -> bool:
    """Whether the installed Pillow reads a file, and its pixels are known or OpenCV can read them."""
    return ("AVIF" in formats() or "AVIF" not in one.name) and (
        AVAILABLE or one.truth is not None or one.expected != RIGHT
    )


def read(path: Path, orientation: int) -> list[Pixels]:
    """Return what OpenCV reads from a file: on white and turned by this orientation, and as it turns the image itself.

    The second one is left out for transparent images, and for AVIF, which it doesn't turn. Returns an empty list if
    OpenCV isn't installed or can't read the file.
    """
    if not AVAILABLE:
        return []
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    import cv2

    content = np.frombuffer(path.read_bytes(), np.uint8)
    try:
        stored = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
        turned = cv2.imdecode(content, cv2.IMREAD_COLOR)
    except cv2.error:
        return []
    if stored is None or turned is None or stored.dtype not in (np.uint8, np.uint16):
        return []
    unit = stored.astype(float) / np.iinfo(stored.dtype).max
    unit = unit[:, :, None] if unit.ndim == 2 else unit
    opaque = unit.shape[2] in (1, 3)
    part = 1.0 if opaque else unit[:, :, -1:]
    colors = unit if opaque else unit[:, :, :-1]
    mixed = (255 * (colors * part + 1 - part)).round().astype(np.uint8)
    mixed = np.broadcast_to(mixed[:, :, ::-1], (*mixed.shape[:2], 3))
    turns = opaque and content[4:8].tobytes() != b"ftyp"
    return [upright(mixed, orientation), *([turned[:, :, ::-1]] if turns else [])]
