"""optimizer adamw: Adam with decoupled weight decay. Loshchilov and Hutter 2019."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recipe.api import Trick, number, trick

if TYPE_CHECKING:
    import torch


@trick(
    "optimizer adamw",
    position=90,
    writes=("optimizer",),
    implied=True,
    known_as=("fused-adamw",),
    similar_to=("adam", "adamax", "nadam", "radam", "lion", "adafactor", "adagrad", "rmsprop", "adabelief", "adan"),
)
class AdamW(Trick):
    """Update with AdamW. The default learning rate of 0.1 doesn't suit it, so set your own, such as `lr 1e-3`."""

    beta1: float = number(0.9, "decay of the mean of the gradients", minimum=0, below=1)
    beta2: float = number(0.999, "decay of the mean of the squared gradients", minimum=0, below=1)
    eps: float = number(1e-8, "value added to the denominator", above=0, maximum=1)

    def optimize(self, groups: list[dict[str, Any]], rate: float) -> torch.optim.Optimizer:
        from torch.optim import AdamW as Adam

        return Adam(groups, lr=rate, betas=(self.beta1, self.beta2), eps=self.eps, fused=True)
