"""Look at all files of a dataset without decoding them: their headers, and which ones have the same contents.

Both end after a given time. Files are read in threads, since each one waits for the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import attrs
import numpy as np

from recipe.base.errors import RecipeError
from recipe.base.identity import UNREADABLE
from recipe.data.appearance import Appearance
from recipe.data.draws import order
from recipe.data.encoded import ImageSource, bytes_in, image_digest, opened_image
from recipe.data.headers import Header, header_of
from recipe.data.images import InMemory

THREADS = 8
HEAD = 1 << 14
"""The bytes of a file that are read ahead of its header."""
AT_ONCE = 256
"""The number of files that are read ahead."""

T = TypeVar("T")


@attrs.frozen
class Headers:
    """The headers of some files, by their position."""

    read: Mapping[int, Header]
    unreadable: Mapping[int, str]
    """Why images can't be read, as far as their headers show."""

    @property
    def count(self) -> int:
        """The number of files that were looked at."""
        return len(self.read) + len(self.unreadable)


@attrs.frozen
class Alike:
    """Which images have the same contents, by their position."""

    groups: tuple[tuple[int, ...], ...]
    """The positions of two or more images with the same contents."""
    compared: int
    """The number of images that were compared with all others."""


def headers(paths: Sequence[ImageSource], appearance: Appearance, until: float) -> Headers:
    """Read the headers of images of this appearance, in a random order, until a time on the monotonic clock."""
    read, unreadable = dict[int, Header](), dict[int, str]()
    order_of = order(0, 0, len(paths)).tolist()
    for position, _ in _in_threads(lambda position: _warm(paths[position]), order_of, until):
        try:
            read[position] = header_of(paths[position], appearance)
        except RecipeError as error:
            unreadable[position] = error.diagnostics[0].message
    return Headers(dict(sorted(read.items())), dict(sorted(unreadable.items())))


def same_files(paths: Sequence[ImageSource], until: float) -> Alike:
    """Find files with the same contents until a time on the monotonic clock. Only those of the same size are read."""
    sizes = dict[int, list[int]]()
    seen = 0
    for position, size in _in_threads(lambda position: _size(paths[position]), range(len(paths)), until):
        seen += 1
        if size >= 0:
            sizes.setdefault(size, []).append(position)
    doubtful = [position for positions in sizes.values() if len(positions) > 1 for position in positions]
    alike, read = dict[str, list[int]](), 0
    for position, digest in _in_threads(lambda position: image_digest(paths[position]), doubtful, until):
        read += 1
        if digest != UNREADABLE:
            alike.setdefault(digest, []).append(position)
    return Alike(_groups(alike), seen - (len(doubtful) - read))


def same_pixels(parts: Sequence[InMemory], until: float) -> Alike:
    """Find images in memory with the same pixels until a time on the monotonic clock.

    Positions count over all parts.
    """
    alike, compared = dict[str, list[int]](), 0
    for part in parts:
        pixels = part.pixels if part.original is None else part.original
        for image in pixels:
            if time.monotonic() > until:
                return Alike(_groups(alike), compared)
            digest = hashlib.sha256(str(tuple(image.shape)).encode())
            digest.update(np.ascontiguousarray(image.cpu().numpy()).data)
            alike.setdefault(digest.hexdigest(), []).append(compared)
            compared += 1
    return Alike(_groups(alike), compared)


def _groups(alike: Mapping[str, Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(sorted(tuple(sorted(positions)) for positions in alike.values() if len(positions) > 1))


def _in_threads(do: Callable[[int], T], positions: Sequence[int], until: float) -> Iterator[tuple[int, T]]:
    """Yield each position with what ``do`` returns for it, computed ahead in threads, until a time."""
    parts = [positions[start : start + AT_ONCE] for start in range(0, len(positions), AT_ONCE)]
    with ThreadPoolExecutor(THREADS) as threads:
        begun = [threads.map(do, part) for part in parts[:1]]
        for number, part in enumerate(parts):
            begun += [threads.map(do, following) for following in parts[number + 1 : number + 2]]
            for each in zip(part, begun.pop(0), strict=True):
                if time.monotonic() > until:
                    threads.shutdown(wait=False, cancel_futures=True)
                    return
                yield each


def _warm(path: ImageSource) -> None:
    """Read the beginning of a file, so that the system has it in memory. `header_of` reports what is wrong with it."""
    with contextlib.suppress(OSError), opened_image(path) as file:
        file.read(HEAD)


def _size(path: ImageSource) -> int:
    """Return the size of a file, or -1 if it has none."""
    try:
        return bytes_in(path)
    except OSError:
        return -1
