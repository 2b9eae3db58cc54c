"""Verify the checksums of image files that Pillow doesn't compare."""

from __future__ import annotations

import zlib
from typing import IO

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def verify_png(file: IO[bytes]) -> None:
    """Raise `ValueError` if the checksum of the pixels in a PNG file is wrong. Leaves the file where it is.

    Damaged pixels may be decoded otherwise. Says nothing about a file that is cut off, which decoding reports.
    """
    position = file.tell()
    try:
        file.seek(0)
        if file.read(len(SIGNATURE)) != SIGNATURE:
            return
        while len(head := file.read(8)) == 8:
            length, name = int.from_bytes(head[:4], "big"), head[4:]
            if name != b"IDAT":
                file.seek(length + 4, 1)
                continue
            content, checksum = file.read(length), file.read(4)
            if len(checksum) < 4:
                return
            if zlib.crc32(content, zlib.crc32(name)) != int.from_bytes(checksum, "big"):
                raise ValueError("its pixels are damaged: their checksum is wrong")
    finally:
        file.seek(position)
