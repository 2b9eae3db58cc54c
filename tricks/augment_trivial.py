"""augment trivial: TrivialAugment, one random change of each image by a random strength.

Müller and Hutter 2021, with their wide range of strengths, by torchvision's own `TrivialAugmentWide`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipe.api import Trick, integer, trick

if TYPE_CHECKING:
    import torch

    from recipe.api import Draws


@trick("augment trivial", position=50, reads=("crop",), writes=("inputs",))
class Trivial(Trick):
    """Change each image in one way, of 14 that are equally likely, by a strength that is drawn from some steps."""

    bins: int = integer(31, "steps of the strength", minimum=2, maximum=1000)

    def augment(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        seeds = (draws.uniform()[:, 0] * 2.0**53).astype("int64")
        return trivial(images, seeds.tolist(), self.bins)


def trivial(images: torch.Tensor, seeds: list[int], bins: int) -> torch.Tensor:
    """Images (N, 3, H, W) in [0, 1], each changed as torchvision does after its seed; the rest of torch is as it was.

    What is drawn is drawn on the CPU, wherever the images are.
    """
    import torch
    from torchvision.transforms.v2 import TrivialAugmentWide

    change = TrivialAugmentWide(num_magnitude_bins=bins)
    pixels = (images * 255).round().to(torch.uint8)
    with torch.random.fork_rng(devices=[]):
        for image, seed in zip(pixels, seeds, strict=True):
            torch.default_generator.manual_seed(seed)
            image.copy_(change(image))
    return pixels.to(images.dtype) / 255
