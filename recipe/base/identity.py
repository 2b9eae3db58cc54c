"""What identifies data and packages: short digests, and versions."""

from __future__ import annotations

import hashlib
from importlib import metadata


def digest(data: bytes) -> str:
    """The first 16 hexadecimal digits of a SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]


def version_of(package: str) -> str | None:
    """The version of an installed package, or None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
