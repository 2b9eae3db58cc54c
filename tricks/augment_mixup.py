"""augment mixup α: train on mixtures of two images and of their targets.

He et al. 2019, section 5.4 (Zhang et al. 2018): x = λ xᵢ + (1 − λ) xⱼ and y = λ yᵢ + (1 − λ) yⱼ, with λ from Beta(α,
α) and α = 0.2. With mixup, the paper trains for 200 epochs. Targets are smoothed before they are mixed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Trick, number, trick
from recipe.tricks._pairs import of_pairs, partners
from recipe.tricks._paper import stacked

if TYPE_CHECKING:
    import torch

    from recipe.api import Draws, Evidence, PlanView


@trick("augment mixup", position=50, reads=("crop", "inputs", "targets"), writes=("mix",))
class Mixup(Trick):
    """Mix each image and its target with those of a partner in the batch, with a random weight for each pair."""

    alpha: float = number(0.2, "parameter of the Beta distribution of the weight", above=0, maximum=100)

    def check(self, plan: PlanView) -> Iterable[str]:
        if plan.training.batch < 2:
            yield "nothing is mixed: a batch has only one image"

    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
        rows = ("distill", "both") if plan.find("loss distill") else ("smooth", "mixup")
        return stacked(plan, *rows, "mixup")

    def mix(self, images: torch.Tensor, targets: torch.Tensor, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        partner = partners(len(images))
        weight = torch.from_numpy(of_pairs(draws.beta(self.alpha))).to(images, non_blocking=True)
        return mixup(images, targets, partner.to(images.device, non_blocking=True), weight)


def mixup(
    images: torch.Tensor, targets: torch.Tensor, partner: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix images (N, C, H, W) and targets (N, K) with those of their partners (N,) by weights (N,)."""
    mixed = images[partner].lerp(images, weight.view(-1, 1, 1, 1))
    return mixed, targets[partner].lerp(targets, weight.view(-1, 1).to(targets))
