"""optimizer lars: layer-wise adaptive rate scaling.

You et al. 2017, algorithm 1: the rate of each layer is scaled by TRUST · ‖w‖ / (‖∇‖ + β ‖w‖), with the weight decay β,
before momentum. As in MLPerf's reference and in timm, biases and the parameters of normalization layers are not scaled,
because the norm of parameters that start at zero or one is unrelated to the size of their updates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from recipe.api import Trick, number, trick

if TYPE_CHECKING:
    import torch


@trick("optimizer lars", position=90, writes=("optimizer",), similar_to=("lamb",))
class Lars(Trick):
    """Update with LARS, for very large batches. The default learning rate of 0.1 doesn't suit it, so try `lr 10`."""

    momentum: float = number(0.9, "fraction of the previous update to keep", minimum=0, below=1)
    trust: float = number(0.001, "trust coefficient: size of updates relative to the weights", above=0, maximum=1)

    def optimize(self, groups: list[dict[str, Any]], rate: float) -> torch.optim.Optimizer:
        return lars(groups, lr=rate, momentum=self.momentum, trust=self.trust)


def scaled(
    weights: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor], decay: float, trust: float
) -> list[torch.Tensor]:
    """Return gradients with weight decay, scaled by the rate of their layer for weights with more than one axis.

    The rate is 1 if the weights or the gradients of a layer are all zero.
    """
    import torch

    result = [*torch._foreach_add(list(gradients), list(weights), alpha=decay)]
    layers = [place for place, weight in enumerate(weights) if weight.ndim > 1]
    if layers:
        sizes, slopes = (
            torch.stack(torch._foreach_norm([tensors[place] for place in layers])) for tensors in (weights, gradients)
        )
        rates = trust * sizes / (slopes + decay * sizes + 1e-8)
        rates = torch.where((sizes > 0) & (slopes > 0), rates, 1.0)
        torch._foreach_mul_([result[place] for place in layers], [*rates.unbind()])
    return result


def lars(groups: list[dict[str, Any]], **options: float) -> torch.optim.Optimizer:
    """Return an optimizer for parameter groups. ``options`` are ``lr``, ``momentum`` and ``trust``.

    Momentum works as in torch's SGD: each step scales the entire momentum buffer by the current learning rate.
    """
    import torch

    class LARS(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            for group in self.param_groups:
                weights = [weight for weight in group["params"] if weight.grad is not None]
                if not weights:
                    continue
                updates = scaled(weights, [weight.grad for weight in weights], group["weight_decay"], group["trust"])
                for weight in weights:
                    if "momentum_buffer" not in self.state[weight]:
                        self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
                moving = [self.state[weight]["momentum_buffer"] for weight in weights]
                torch._foreach_mul_(moving, group["momentum"])
                torch._foreach_add_(moving, updates)
                torch._foreach_add_(weights, moving, alpha=-group["lr"])

    return LARS(groups, {"weight_decay": 0.0, **options})
