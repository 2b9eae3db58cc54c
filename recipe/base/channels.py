"""The channels of images: red, green and blue, or gray alone. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

GRAY, RGB = 1, 3
"""The numbers of channels that the inputs of a model can have."""

LUMA = (0.299, 0.587, 0.114)
"""The parts of red, green and blue in gray (ITU-R BT.601), as in Pillow and timm."""


def to_channels(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """Return a number of each channel, such as the mean of images, for the same images in other channels.

    That of gray images is the weighted sum. For a mean this is exact, and for a deviation it is if the channels of all
    images are equal; otherwise it is an upper bound.

    Args:
        values: A number for each of one or three channels.
        channels: 1 for gray images, 3 for RGB.
    """
    first, *others = values
    if all(value == first for value in others):
        return (first,) * channels
    if channels == GRAY:
        return (math.fsum(part * value for part, value in zip(LUMA, values, strict=True)),)
    return tuple(values)


def adaptable(have: Sequence[int], want: Sequence[int]) -> bool:
    """Whether the weight of a first convolution of one shape, for gray or RGB images, can become one of another."""
    alike = len(have) == len(want) == 4 and (have[0], *have[2:]) == (want[0], *want[2:])
    return alike and {have[1], want[1]} == {GRAY, RGB}
