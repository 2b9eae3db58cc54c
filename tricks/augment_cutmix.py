"""augment cutmix α: paste a part of one image into another, and mix their targets in proportion to the areas.

Yun et al. 2019: a box of area (1 − λ), with λ from Beta(α, α), has a random center and is clipped at the borders. The
targets are mixed by the clipped area.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Trick, number, trick
from recipe.tricks._pairs import of_pairs, partners

if TYPE_CHECKING:
    import torch

    from recipe.api import Draws, PlanView


@trick("augment cutmix", position=50, reads=("crop", "inputs", "targets"), writes=("mix",))
class Cutmix(Trick):
    """Replace a random box in each image with its partner's. With mixup, each batch randomly uses one of the two."""

    alpha: float = number(1.0, "parameter of the Beta distribution of the area", above=0, maximum=100)

    def check(self, plan: PlanView) -> Iterable[str]:
        if plan.training.batch < 2:
            yield "nothing is mixed: a batch has only one image"

    def mix(self, images: torch.Tensor, targets: torch.Tensor, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        partner = partners(len(images))
        weight = torch.from_numpy(of_pairs(draws.beta(self.alpha))).to(images, non_blocking=True)
        centres = torch.from_numpy(of_pairs(draws.named("centre").uniform(2))).to(images, non_blocking=True)
        return cutmix(images, targets, partner.to(images.device, non_blocking=True), weight, centres)


def cutmix(
    images: torch.Tensor, targets: torch.Tensor, partner: torch.Tensor, weight: torch.Tensor, centres: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images (N, C, H, W) with a box from their partners (N,), and the mixed targets (N, K).

    ``weight`` (N,) is the fraction of the area that an image keeps. ``centres`` (N, 2) are the centers of the boxes as
    fractions of height and width.
    """
    import torch

    height, width = images.shape[-2:]
    side = (1 - weight).sqrt()
    inside, area = torch.ones_like(images[:, :1], dtype=torch.bool), torch.ones_like(weight)
    for axis, length in ((0, height), (1, width)):
        middle = (centres[:, axis] * length).floor()
        half = (side * length).floor().div(2, rounding_mode="floor")
        low, high = (middle - half).clamp(0, length), (middle + half).clamp(0, length)
        place = torch.arange(length, device=images.device)
        band = (place >= low[:, None]) & (place < high[:, None])
        inside = inside & (band[:, None, :, None] if axis == 0 else band[:, None, None, :])
        area = area * (high - low) / length
    kept = (1 - area).view(-1, 1).to(targets)
    return torch.where(inside, images[partner], images), targets[partner].lerp(targets, kept)
