"""Take fingerprints of images and labels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from recipe.base.identity import UNREADABLE, digest
from recipe.data.encoded import Encoded, ImageSource, bytes_in, image_digest
from recipe.data.fingerprint import Fingerprint
from recipe.data.images import Files, Images, InMemory

MOST_BYTES = 1 << 30
"""The largest set, in bytes of pixels or of files, whose images are all looked at."""

MOST_FILES = 20_000
"""The largest set of files that are all looked at."""

SAMPLE = 4096
"""The number of images to look at in a larger set, evenly spaced."""

FETCHED = 64
"""The number of images to look at in a set that has its own way to fetch them, which may be slow."""


GLANCED = 64
"""The number of files to look at to tell whether several processes have the same ones."""


def glance(images: Images) -> str:
    """Return a digest of the labels of images and, of files, of their names and the contents of some.

    It takes little time and is the same on every processor, which resized pixels are not.
    """
    parts = [digest(images.labels.cpu().numpy().tobytes())]
    if isinstance(images, Files):
        chosen = (images.paths[index] for index in _sample(len(images.paths), GLANCED))
        parts += ["\0".join(_names(images.paths)), *map(image_digest, chosen)]
    return _of_parts(parts)


def fingerprint(images: Images) -> Fingerprint:
    """Return the fingerprint of a set of images.

    All images of a set of at most 1 GiB and 20,000 files are looked at, and an evenly spaced sample of a larger one. A
    set of another class than `InMemory` and `Files` is looked at through `fetch`, without a box.
    """
    if isinstance(images, InMemory) and images.fingerprint is not None:
        return images.fingerprint
    labels = images.labels.cpu().numpy()
    if isinstance(images, InMemory):
        contents, sampled = _of_pixels(images)
    elif isinstance(images, Files):
        contents, sampled = _of_files(images.paths)
    else:
        contents, sampled = _of_fetched(images)
    return Fingerprint(len(labels), digest(labels.tobytes()), contents, sampled)


def _sample(count: int, most: int) -> list[int]:
    """Return at most ``most`` of ``count`` indices, evenly spaced."""
    return list(range(count)) if count <= most else np.linspace(0, count - 1, most).round().astype(int).tolist()


def _of_pixels(images: InMemory) -> tuple[str, int]:
    whole = images.pixels.numel() <= MOST_BYTES
    chosen = _sample(len(images.pixels), len(images.pixels) if whole else SAMPLE)
    seen = hashlib.sha256(str(tuple(images.pixels.shape)).encode())
    for start in range(0, len(chosen), 1024):
        seen.update(images.pixels[chosen[start : start + 1024]].cpu().contiguous().numpy().data)
    return seen.hexdigest()[:16], len(chosen)


def _of_files(paths: tuple[ImageSource, ...]) -> tuple[str, int]:
    """Read files in threads, since each one waits for the disk. A file that can't be read has a digest of its own."""
    chosen = [paths[index] for index in _sample(len(paths), len(paths) if len(paths) <= MOST_FILES else SAMPLE)]
    with ThreadPoolExecutor(8) as threads:
        if len(chosen) > SAMPLE and sum(threads.map(_size, chosen)) > MOST_BYTES:
            chosen = [chosen[index] for index in _sample(len(chosen), SAMPLE)]
        digests = [*threads.map(image_digest, chosen)]
    return _of_parts(["\0".join(_names(paths)), *digests]), len(chosen)


def _names(paths: tuple[ImageSource, ...]) -> Iterator[str]:
    """Yield the names of images, which for files are their paths relative to their common folder."""
    parents = [path.parent for path in paths if isinstance(path, Path)]
    common = os.path.commonpath(parents) if parents else ""
    yield from (path.name if isinstance(path, Encoded) else os.path.relpath(path, common) for path in paths)


def _of_fetched(images: Images) -> tuple[str, int]:
    parts = []
    chosen = _sample(len(images.labels), FETCHED)
    for index in chosen:
        try:
            fetched = images.fetch(np.array([index]), None)
            parts.append(f"{tuple(fetched.shape)} {digest(fetched.cpu().contiguous().numpy().tobytes())}")
        except (Exception, SystemExit):  # training reports or skips it
            parts.append(UNREADABLE)
    return _of_parts(parts), len(chosen)


def _of_parts(parts: Iterable[str]) -> str:
    return digest("\n".join(parts).encode("utf-8", "surrogateescape"))


def _size(path: ImageSource) -> int:
    try:
        return bytes_in(path)
    except OSError:
        return 0
