"""optimizer sgd: stochastic gradient descent with plain momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recipe.api import Trick, number, trick

if TYPE_CHECKING:
    import torch


@trick("optimizer sgd", position=90, writes=("optimizer",), known_as=("sgd-momentum",))
class Sgd(Trick):
    """Update with stochastic gradient descent with momentum."""

    momentum: float = number(0.9, "fraction of the previous update to keep", minimum=0, below=1)

    def optimize(self, groups: list[dict[str, Any]], rate: float) -> torch.optim.Optimizer:
        from torch.optim import SGD

        return SGD(groups, lr=rate, momentum=self.momentum, nesterov=False, fused=True)
