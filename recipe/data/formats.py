"""The image formats that are read, and the endings of their files. Needs neither torch nor Pillow."""

from __future__ import annotations

FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "AVIF": (".avif",),
}
"""The formats that are read, by Pillow's names, with their endings. Of several pictures in a file, the first is read.

A file is read in the format of its content, whatever its ending. No other format is tried, because some of Pillow's
start other programs. AVIF needs Pillow 11.3.
"""

ENDINGS = frozenset(ending for endings in FORMATS.values() for ending in endings)
"""The endings of the files in a folder that are taken for images, in lower case."""
