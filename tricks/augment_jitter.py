"""augment jitter: random brightness, contrast, saturation and hue.

He et al. 2019, section 2.1: hue, saturation and brightness are scaled by coefficients from [0.6, 1.4]. GluonCV's script
scales contrast instead of hue. The dialects `gluoncv` and `torchvision` do the same. As in all implementations, hue is
rotated, by up to 0.2 of the color circle, which is MXNet's interpretation of a coefficient of 0.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Trick, number, trick
from recipe.tricks._constants import beside

if TYPE_CHECKING:
    import torch

    from recipe.api import Draws, PlanView

LUMA = (0.2989, 0.587, 0.114)
NOT_PAPER = {"gluoncv": 0.0, "torchvision": 0.0}


@trick(
    "augment jitter",
    position=50,
    reads=("crop",),
    writes=("inputs",),
    after=("augment trivial",),
    known_as=("color-jitter", "colour-jitter"),
)
class Jitter(Trick):
    """Change the brightness, contrast, saturation and hue of each image by random amounts, in this order."""

    brightness: float = number(0.4, "factor from [1 − x, 1 + x]", minimum=0, maximum=1)
    contrast: float = number(
        0.0, "factor from [1 − x, 1 + x]", minimum=0, maximum=1, dialects={"gluoncv": 0.4, "torchvision": 0.4}
    )
    saturation: float = number(0.4, "factor from [1 − x, 1 + x]", minimum=0, maximum=1)
    hue: float = number(0.2, "rotation from [−x, x], in color circles", minimum=0, maximum=0.5, dialects=NOT_PAPER)

    def check(self, plan: PlanView) -> Iterable[str]:
        if not (self.brightness or self.contrast or self.saturation or self.hue):
            yield "no image is changed: brightness, contrast, saturation and hue are all 0"

    def augment(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        import numpy as np
        import torch

        scale = np.array([self.brightness, self.contrast, self.saturation, self.hue], np.float32)
        amounts = (2 * draws.uniform(4) - 1).astype(np.float32) * scale + np.array([1, 1, 1, 0], np.float32)
        brightness, contrast, saturation, hue = torch.from_numpy(amounts).to(images, non_blocking=True).unbind(1)
        if self.brightness:
            images = adjust_brightness(images, brightness)
        if self.contrast:
            images = adjust_contrast(images, contrast)
        if self.saturation:
            images = adjust_saturation(images, saturation)
        return adjust_hue(images, hue) if self.hue else images


def _blend(images: torch.Tensor, other: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return other.lerp(images, factor.view(-1, 1, 1, 1)).clamp(0, 1)


def _gray(images: torch.Tensor) -> torch.Tensor:
    return (images * beside(images, LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def adjust_brightness(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Blend images (N, 3, H, W) in [0, 1] with black by factors (N,)."""
    return (images * factor.view(-1, 1, 1, 1)).clamp(0, 1)


def adjust_contrast(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Blend images (N, 3, H, W) in [0, 1] with their mean gray by factors (N,)."""
    return _blend(images, _gray(images).mean((1, 2, 3), keepdim=True).expand_as(images), factor)


def adjust_saturation(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Blend images (N, 3, H, W) in [0, 1] with their gray versions by factors (N,)."""
    return _blend(images, _gray(images).expand_as(images), factor)


def adjust_hue(images: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Rotate the HSV hue of images (N, 3, H, W) in [0, 1] by fractions (N,) of the color circle."""
    import torch

    value, argmax = images.max(1)
    chroma = value - images.amin(1)
    safe = chroma.masked_fill(chroma == 0, 1)
    # (green − blue, blue − red, red − green): the largest channel determines the sextant of the hue.
    differences = images.roll(-1, 1) - images.roll(1, 1)
    sextant = differences / safe[:, None] + beside(images, [0.0, 2.0, 4.0]).view(1, 3, 1, 1)
    hue = sextant.gather(1, argmax[:, None])[:, 0] + 6 * turn.view(-1, 1, 1)
    # Each channel is the value minus a fraction of the chroma that depends on its distance on the circle.
    place = (beside(images, [5.0, 3.0, 1.0]).view(1, 3, 1, 1) + hue[:, None]) % 6
    lost = torch.minimum(place, 4 - place).clamp(0, 1)
    return value[:, None] - chroma[:, None] * lost
