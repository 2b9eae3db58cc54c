"""augment crop: a random part of the image, scaled to the input size.

He et al. 2019, section 2.1 (Szegedy et al. 2015): area uniform in [8 %, 100 %] of the image's, aspect ratio in [3/4,
4/3].
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from recipe.api import Trick, number, trick

if TYPE_CHECKING:
    from recipe.api import Draws, Floats

ATTEMPTS = 10


@trick("augment crop", writes=("crop",))
class Crop(Trick):
    """Train on a random part of each image, of random area and aspect ratio, scaled to the size of the input."""

    area: float = number(0.08, "smallest part of the image's area", above=0, maximum=1)
    aspect: float = number(4 / 3, "largest ratio of the sides; the smallest is its inverse", minimum=1, maximum=10)

    def box(self, draws: Draws, heights: Floats, widths: Floats) -> Floats:
        return random_boxes(draws.uniform(2 * ATTEMPTS + 2), heights, widths, self.area, self.aspect)


def random_boxes(uniform: Floats, heights: Floats, widths: Floats, area: float, aspect: float) -> Floats:
    """Boxes (N, 4) of top, left, height, width in pixels, from uniform draws (N, 2 × ATTEMPTS + 2).

    The first attempt that fits is taken; where none does, the largest centred box of an allowed ratio. The distribution
    is that of torchvision's `RandomResizedCrop`.
    """
    import numpy as np

    tall, wide = heights[:, None], widths[:, None]
    areas = tall * wide * (area + (1 - area) * uniform[:, :ATTEMPTS])
    ratios = np.exp(math.log(aspect) * (2 * uniform[:, ATTEMPTS : 2 * ATTEMPTS] - 1))
    w, h = np.round(np.sqrt(areas * ratios)), np.round(np.sqrt(areas / ratios))
    fits = (w >= 1) & (h >= 1) & (w <= wide) & (h <= tall)
    rows, first = np.arange(len(w)), fits.argmax(1)
    within = np.clip(widths / heights, 1 / aspect, aspect)
    found = fits.any(1)
    width = np.where(found, w[rows, first], np.minimum(widths, np.round(heights * within)))
    height = np.where(found, h[rows, first], np.minimum(heights, np.round(widths / within)))
    top = np.where(found, np.floor(uniform[:, -2] * (heights - height + 1)), (heights - height) // 2)
    left = np.where(found, np.floor(uniform[:, -1] * (widths - width + 1)), (widths - width) // 2)
    return np.stack([top, left, height, width], 1)
