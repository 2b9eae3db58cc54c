"""augment crop: a random part of the image, scaled to the input size.

He et al. 2019, section 2.1 (Szegedy et al. 2015): the area is uniform in 8% to 100% of the image area, and the aspect
ratio is in [3/4, 4/3].
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Trick, number, trick

if TYPE_CHECKING:
    from recipe.api import Draws, Floats, PlanView

ATTEMPTS = 10


@trick(
    "augment crop",
    position=50,
    writes=("crop",),
    implied=True,
    known_as=("random-resized-crop", "rrc", "random-crop", "inception-crop", "train-crop"),
)
class Crop(Trick):
    """Train on a random crop of each image, with random area and aspect ratio, scaled to the input size."""

    area: float = number(0.08, "smallest area of the crop, as a fraction of the image", above=0, maximum=1)
    aspect: float = number(4 / 3, "largest aspect ratio; the smallest is its inverse", minimum=1, maximum=10)

    def check(self, plan: PlanView) -> Iterable[str]:
        if self.area == 1:
            yield "nothing is random: with an area of 1, the crop of a square image is all of it"

    def crop_box(self, draws: Draws, heights: Floats, widths: Floats) -> Floats:
        return random_boxes(draws.uniform(2 * ATTEMPTS + 2), heights, widths, self.area, self.aspect)


def random_boxes(uniform: Floats, heights: Floats, widths: Floats, area: float, aspect: float) -> Floats:
    """Return boxes (N, 4) of top, left, height, width in pixels, from uniform draws (N, 2 × ATTEMPTS + 2).

    Uses the first attempt that fits, or else the largest centered box with an allowed ratio. The distribution matches
    torchvision's `RandomResizedCrop`.
    """
    import numpy as np

    tall, wide = heights[:, None], widths[:, None]
    areas = tall * wide * (area + (1 - area) * uniform[:, :ATTEMPTS])
    ratios = np.exp(math.log(aspect) * (2 * uniform[:, ATTEMPTS : 2 * ATTEMPTS] - 1))
    w, h = np.round(np.sqrt(areas * ratios)), np.round(np.sqrt(areas / ratios))
    fits = (w >= 1) & (h >= 1) & (w <= wide) & (h <= tall)
    rows, first = np.arange(len(w)), fits.argmax(1)
    height, width = h[rows, first], w[rows, first]
    top, left = np.floor(uniform[:, -2] * (heights - height + 1)), np.floor(uniform[:, -1] * (widths - width + 1))
    boxes = np.stack([top, left, height, width], 1)
    if not fits.any(1).all():
        within = np.clip(widths / heights, 1 / aspect, aspect)
        width = np.minimum(widths, np.round(heights * within))
        height = np.minimum(heights, np.round(widths / within))
        largest = np.stack([(heights - height) // 2, (widths - width) // 2, height, width], 1)
        boxes = np.where(fits.any(1, keepdims=True), boxes, largest)
    return boxes
