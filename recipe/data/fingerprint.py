"""What identifies a dataset: whether a run meets the data again that it was trained on. Needs no torch."""

from __future__ import annotations

import attrs


@attrs.frozen
class Fingerprint:
    """What identifies a set of labeled images, in their order."""

    images: int
    """The number of images."""
    labels: str
    """A digest of the labels."""
    contents: str
    """A digest of the images that were looked at, with the paths of all files relative to their common folder."""
    sampled: int
    """The number of images that were looked at."""
