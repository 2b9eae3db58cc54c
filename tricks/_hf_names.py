"""Names of the images in a dataset of Hugging Face that are the same on every machine."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache

SNAPSHOT = re.compile(r".*/datasets--[^/]+/snapshots/[^/]+/(.+)", re.DOTALL)
"""The path of a file in the cache of the Hub. What follows the revision is its path in the repository."""


def names_of(paths: Sequence[str], folder: str | None) -> list[str]:
    """Return the name of each image, or an empty text if it has none that is the same on another machine.

    Args:
        paths: Their paths: absolute ones are those of files, and others are the names in tables.
        folder: The folder of the dataset, or None if it is of the Hub. Links to it are followed.
    """
    root = None if folder is None else os.path.realpath(folder)
    real = cache(os.path.realpath)  # of the folders: a file may be a link to one that is named after its content

    def name(path: str) -> str:
        if not os.path.isabs(path):
            return "" if "://" in path else path
        if match := SNAPSHOT.fullmatch(path.replace(os.sep, "/")):
            return match[1]
        if root is None:
            return ""
        inside = os.path.join(str(real(os.path.dirname(path))), os.path.basename(path))
        start = os.path.join(root, "")
        return inside[len(start) :].replace(os.sep, "/") if inside.startswith(start) else ""

    return [*map(name, paths)]
