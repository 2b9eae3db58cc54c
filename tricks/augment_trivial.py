"""augment trivial: TrivialAugment, a single random operation of random strength on each image.

Müller and Hutter 2021, with their wide range of strengths, as implemented in torchvision's `TrivialAugmentWide`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipe.api import Trick, integer, trick

if TYPE_CHECKING:
    import torch

    from recipe.api import Draws


@trick(
    "augment trivial",
    position=50,
    reads=("crop",),
    writes=("inputs",),
    known_as=("trivial-augment", "trivialaugmentwide", "ta-wide"),
    similar_to=(
        "aa",
        "autoaugment",
        "randaugment",
        "augmix",
        "rotate",
        "rotation",
        "random-rotation",
        "affine",
        "shear",
    ),
)
class Trivial(Trick):
    """Apply one of 14 equally likely operations to each image, with a random strength."""

    bins: int = integer(31, "number of strength levels", minimum=2, maximum=1000)

    def augment(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        seeds = (draws.uniform()[:, 0] * 2.0**53).astype("int64")
        return trivial(images, seeds.tolist(), self.bins)


def trivial(images: torch.Tensor, seeds: list[int], bins: int) -> torch.Tensor:
    """Transform each of the images (N, 3, H, W) in [0, 1] as torchvision does with its seed.

    Random numbers come from the CPU, wherever the images are. The global random state doesn't change.
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
