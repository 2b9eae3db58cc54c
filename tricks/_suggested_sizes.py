"""The sizes that fit small images, and the models that take them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from recipe.api import shorter_side

SAMPLE = 32
"""The number of images whose size is looked at."""

SIZES = (64, 96, 128, 160, 192)
"""The sizes that are suggested for images that are smaller than the default."""

ANY_SIZE = re.compile(
    r"(timm:)?(tf_|wide_|test_)?(resnet|resnext|resnest|seresnet|seresnext|convnext|efficientnet|mobilenet|regnet|"
    r"densenet|shufflenet|mnasnet)"
)
"""The models that take images of any of these sizes."""


def size_of(images: Sequence[str]) -> int | None:
    """Return the smallest size that keeps the shorter sides of most images, or None for the default."""
    sides = [side for path in images[:: -(-len(images) // SAMPLE)] if (side := shorter_side(path)) is not None]
    typical = sorted(sides)[len(sides) // 2] if sides else SIZES[-1] + 1
    return next((size for size in SIZES if size >= typical), None)
