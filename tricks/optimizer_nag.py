"""optimizer nag: Nesterov momentum. He et al. 2019, section 2.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recipe.api import Trick, number, trick

if TYPE_CHECKING:
    import torch


@trick("optimizer nag", position=90, writes=("optimizer",), known_as=("nesterov", "sgd-nesterov", "nesterov-momentum"))
class Nag(Trick):
    """Update with stochastic gradient descent with Nesterov momentum."""

    momentum: float = number(0.9, "fraction of the previous update to keep", above=0, below=1)

    def optimize(self, groups: list[dict[str, Any]], rate: float) -> torch.optim.Optimizer:
        from torch.optim import SGD

        return SGD(groups, lr=rate, momentum=self.momentum, nesterov=True, fused=True)
