"""Short digests."""

from __future__ import annotations

import hashlib


def digest(data: bytes) -> str:
    """The first 16 hexadecimal digits of a SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]
