"""Identifiers of data and packages: short digests and versions."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

from recipe.base import files


def digest(data: bytes) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()[:16]


UNREADABLE = "unreadable"


def file_digest(path: Path) -> str:
    """Return the digest of a whole file, or `UNREADABLE` if it can't be read or isn't a regular file."""
    try:
        with files.opened(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]  # type: ignore[arg-type]
    except OSError:
        return UNREADABLE


def version_of(package: str) -> str | None:
    """Return the version of an installed package, or None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
