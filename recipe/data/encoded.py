"""Image files, and images in larger files that are read like files of their own. Needs no torch."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import IO, Protocol, TypeAlias

import attrs

from recipe.base.files import opened
from recipe.base.identity import UNREADABLE, digest, file_digest


class Reader(Protocol):
    """What reads the encoded images of a larger file, also in another process, to which it is pickled."""

    def read(self, index: int) -> bytes:
        """Return the bytes of an image, as a file of its own would have them."""


@attrs.frozen
class Encoded:
    """An encoded image in a larger file, such as a row of a table. It is read when it is needed."""

    dataset: str
    """What it is part of, for messages."""
    name: str
    """Its name there, which is the same on every machine, with ``/`` between folders."""
    index: int
    """Its number there."""
    reader: Reader = attrs.field(eq=False, repr=False)
    """What reads it: it has a function ``read`` from this number to bytes."""

    def __str__(self) -> str:
        return f"{self.dataset}: {self.name}"

    def read(self) -> bytes:
        """Return its bytes."""
        return self.reader.read(self.index)


ImageSource: TypeAlias = Path | Encoded
"""An image file, or an image that is read like one."""


def opened_image(image: ImageSource) -> IO[bytes]:
    """Open an image in binary mode. Of a path, only a regular file: a pipe, a device or a folder raises `OSError`."""
    return io.BytesIO(image.read()) if isinstance(image, Encoded) else opened(image)


def bytes_in(image: ImageSource) -> int:
    """Return the number of bytes of an image. Raises `OSError` if it can't be read."""
    return len(image.read()) if isinstance(image, Encoded) else os.stat(image).st_size


def image_digest(image: ImageSource) -> str:
    """Return the digest of the bytes of an image, or `UNREADABLE` if it can't be read or isn't a regular file."""
    if isinstance(image, Path):
        return file_digest(image)
    try:
        return digest(image.read())
    except OSError:
        return UNREADABLE
