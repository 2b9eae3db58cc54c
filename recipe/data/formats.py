"""The image formats that are read, and the endings of their files. Needs neither torch nor Pillow."""

from __future__ import annotations

import os

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

OTHERS = {
    "HEIC": (".heic", ".heif", ".hif"),
    "JPEG XL": (".jxl",),
    "JPEG 2000": (".jp2", ".j2k", ".jpf", ".jpx"),
    "Photoshop": (".psd", ".psb"),
    "SVG": (".svg", ".svgz"),
    "camera raw": (
        ".raw", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw",
    ),
    "OpenEXR": (".exr",),
    "TGA": (".tga",),
    "DICOM": (".dcm",),
}  # fmt: skip
"""Image formats that are not read, with their endings."""

NOT_READ = "which is not read: convert"
"""What notes and errors about images in other formats contain."""

_OTHER = {ending: name for name, endings in OTHERS.items() for ending in endings}

_SIGNATURES = {
    "JPEG XL": ((0, b"\xff\x0a"), (0, b"\0\0\0\x0cJXL ")),
    "JPEG 2000": ((0, b"\0\0\0\x0cjP  "), (0, b"\xff\x4f\xff\x51")),
    "Photoshop": ((0, b"8BPS"),),
    "SVG": ((0, b"<svg"),),
    "HTML": ((0, b"<!DOCTYPE html"), (0, b"<!doctype html"), (0, b"<html")),
    "PDF": ((0, b"%PDF-"),),
    "OpenEXR": ((0, b"\x76\x2f\x31\x01"),),
    "DICOM": ((128, b"DICM"),),
    "HEIC": tuple((4, b"ftyp" + brand) for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")),
    "AVIF": ((4, b"ftypavif"), (4, b"ftypavis")),
}
"""How the files of formats begin: bytes at a position."""

HEAD = 256
"""The bytes of a file that `format_in` needs."""


def other_format(name: str) -> str:
    """Return the format that is not read of which a file has the ending, or nothing."""
    return _OTHER.get(os.path.splitext(name)[1].lower(), "")


def format_in(head: bytes) -> str:
    """Return the format of a file that is not read by its first bytes, or nothing if it is unknown."""
    for name, signatures in _SIGNATURES.items():
        if any(head.startswith(mark, at) for at, mark in signatures):
            return name
    return ""
