"""augment erase: a random box of the image is erased.

Zhong et al. 2020, section 3: with probability 0.5 a box of random area, 2 % to 40 % of the image's, and of an aspect
ratio in [0.3, 1 / 0.3], is filled with one random colour, or black. The ratio is log-uniform, as in torchvision and
timm, which erase at most a third of the image.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from recipe.api import Trick, choice, number, trick

if TYPE_CHECKING:
    import torch

    from recipe.api import Draws, Floats

ATTEMPTS = 10


@trick(
    "augment erase",
    reads=("crop",),
    writes=("inputs",),
    after=("augment trivial", "augment jitter", "augment pca-noise"),
)
class Erase(Trick):
    """Fill a random box of some images, so that the network can't rest on one part of what it sees."""

    probability: float = number(0.5, "probability of erasing", minimum=0, maximum=1)
    smallest: float = number(0.02, "smallest part of the image's area", above=0, maximum=1)
    largest: float = number(0.4, "largest part of the image's area", above=0, maximum=1)
    aspect: float = number(1 / 0.3, "largest ratio of the sides; the smallest is its inverse", minimum=1, maximum=10)
    fill: str = choice("colour", "what the box is filled with: a random colour, or black", of=("colour", "black"))

    def augment(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        import numpy as np
        import torch

        drawn = draws.uniform(2 * ATTEMPTS + 6)
        height, width = images.shape[-2:]
        boxes = erased(drawn[:, 4:], height, width, (self.smallest, self.largest), self.aspect)
        boxes *= (drawn[:, :1] < self.probability).astype(boxes.dtype)
        colours = drawn[:, 1:4] if self.fill == "colour" else np.zeros((len(drawn), 3))
        where, what = (torch.from_numpy(found).to(images, non_blocking=True) for found in (boxes, colours))
        return erase(images, where, what)


def erased(uniform: Floats, height: int, width: int, area: tuple[float, float], aspect: float) -> Floats:
    """Boxes (N, 4) of top, left, height, width in pixels, from uniform draws (N, 2 × ATTEMPTS + 2).

    ``area`` is the smallest and the largest part of an image. The first attempt that is smaller than the image along
    both sides is taken; where none is, the box is empty. The distribution is that of torchvision's `RandomErasing`.
    """
    import numpy as np

    least, most = area
    areas = height * width * (least + (most - least) * uniform[:, :ATTEMPTS])
    ratios = np.exp(math.log(aspect) * (2 * uniform[:, ATTEMPTS : 2 * ATTEMPTS] - 1))
    h, w = np.round(np.sqrt(areas * ratios)), np.round(np.sqrt(areas / ratios))
    fits = (h < height) & (w < width)
    rows, first = np.arange(len(h)), fits.argmax(1)
    tall, wide = (np.where(fits.any(1), side[rows, first], 0.0) for side in (h, w))
    top = np.floor(uniform[:, -2] * (height - tall + 1))
    left = np.floor(uniform[:, -1] * (width - wide + 1))
    return np.stack([top, left, tall, wide], 1)


def erase(images: torch.Tensor, boxes: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """Images (N, 3, H, W) with boxes (N, 4) of top, left, height, width filled with colours (N, 3)."""
    import torch

    bands = []
    for axis, length in enumerate(images.shape[-2:]):
        place = torch.arange(length, device=images.device)
        start, size = boxes[:, axis, None], boxes[:, axis + 2, None]
        bands.append((place >= start) & (place < start + size))
    inside = bands[0][:, None, :, None] & bands[1][:, None, None, :]
    return torch.where(inside, colours[:, :, None, None], images)
