"""augment erase: erase a random box in the image.

Zhong et al. 2017, algorithm 1: with probability 0.5, a box of 2% to 40% of the image area and with an aspect ratio in
[0.3, 1 / 0.3] is filled with random values from 0 to 255, drawn for each pixel and channel. The ratio is
log-uniform, as in torchvision and timm, which erase at most a third of the image. The fills are named as in timm. All
three apply before the image is normalized.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Trick, choice, fail, number, trick

if TYPE_CHECKING:
    import torch

    from recipe.api import Draws, Floats, PlanView

ATTEMPTS = 10


@trick(
    "augment erase",
    position=50,
    reads=("crop",),
    writes=("inputs",),
    after=("augment trivial", "augment jitter", "augment pca-noise"),
    known_as=("random-erasing", "random-erase", "erasing", "reprob"),
    similar_to=("cutout",),
)
class Erase(Trick):
    """Fill a random box in some images, so that the network can't rely on a single part of the image."""

    probability: float = number(0.5, "probability of erasing", minimum=0, maximum=1)
    smallest: float = number(0.02, "smallest area of the box, as a fraction of the image", above=0, maximum=1)
    largest: float = number(0.4, "largest area of the box, as a fraction of the image", above=0, maximum=1)
    aspect: float = number(1 / 0.3, "largest aspect ratio; the smallest is its inverse", minimum=1, maximum=10)
    fill: str = choice(
        "pixel",
        "content of the box: a random color per pixel, a single random color, or black",
        of=("pixel", "rand", "const"),
    )

    def check(self, plan: PlanView) -> Iterable[str]:
        if self.smallest > self.largest:
            raise fail("E024", f"the smallest area, {self.smallest:g}, is above the largest, {self.largest:g}")
        if not self.probability:
            yield "nothing is erased: the probability is 0"
        elif (fields := plan.image_fields) and not fitting(fields.size, self.smallest, self.largest):
            boxes = f"boxes of {self.smallest:g} to {self.largest:g} of the area"
            yield f"nothing is erased: in images of {fields.size}×{fields.size} pixels, no {boxes} fit"

    def augment(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        import numpy as np
        import torch

        drawn = draws.uniform(2 * ATTEMPTS + 6)
        height, width = images.shape[-2:]
        boxes = erased(drawn[:, 4:], height, width, (self.smallest, self.largest), self.aspect)
        boxes *= (drawn[:, :1] < self.probability).astype(boxes.dtype)
        where, colours = (torch.from_numpy(found).to(images, non_blocking=True) for found in (boxes, drawn[:, 1:4]))
        if self.fill == "pixel":
            keys = torch.from_numpy((drawn[:, 1] * 2**32).astype(np.int64))
            return erase(images, where, noise(keys.to(images.device, non_blocking=True), height, width).to(images))
        return erase(images, where, colours[:, :, None, None] * (self.fill == "rand"))


def fitting(side: int, smallest: float, largest: float) -> bool:
    """Whether `erased` finds boxes in images of ``side`` × ``side`` pixels. Squares fit best.

    >>> [fitting(32, 0.02, 0.4), fitting(32, 0.99, 1), fitting(32, 1e-5, 1e-4)]
    [True, False, False]
    """
    return round(side * math.sqrt(smallest)) < side and round(side * math.sqrt(largest)) >= 1


def erased(uniform: Floats, height: int, width: int, area: tuple[float, float], aspect: float) -> Floats:
    """Return boxes (N, 4) of top, left, height, width in pixels, from uniform draws (N, 2 × ATTEMPTS + 2).

    ``area`` is the smallest and the largest fraction of the image. Uses the first attempt that is smaller than the
    image on both sides, or else an empty box. The distribution matches torchvision's `RandomErasing`.
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


def noise(keys: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return random colors (N, 3, H, W), 0 to 1 in steps of 1/255, from a 32-bit key for each image, int64 (N,).

    To avoid transferring that many values, this hashes pixel numbers with the image's key on the images' device. The
    hash is Wellons's for 32 bits (hash-prospector, 2018), whose factors fit into int64. Its lowest three bytes become
    the channels.
    """
    import torch

    bits = torch.arange(height * width, device=keys.device) * 0x9E3779B9  # golden ratio: spreads neighbors far apart
    bits = (bits + keys[:, None]) & 0xFFFFFFFF
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        bits ^= bits >> shift
        bits *= factor
        bits &= 0xFFFFFFFF
    bits ^= bits >> 15
    return bits.view(torch.uint8).view(-1, height, width, 8)[..., :3].permute(0, 3, 1, 2) / 255


def erase(images: torch.Tensor, boxes: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """Fill boxes (N, 4) of top, left, height, width in images (N, 3, H, W) with colors that broadcast to them."""
    import torch

    bands = []
    for axis, length in enumerate(images.shape[-2:]):
        place = torch.arange(length, device=images.device)
        start, size = boxes[:, axis, None], boxes[:, axis + 2, None]
        bands.append((place >= start) & (place < start + size))
    inside = bands[0][:, None, :, None] & bands[1][:, None, None, :]
    return torch.where(inside, colours, images)
