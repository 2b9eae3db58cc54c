"""decay … no-bias: weight decay for the weights of convolution and fully connected layers alone.

He et al. 2019, section 3.1 (Jia et al. 2018): biases, and gamma and beta of normalisations, do not decay. torchvision's
reference script separates the two, and its `--bias-weight-decay 0` leaves gamma and beta decaying.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import Trick, choice, trick

if TYPE_CHECKING:
    import torch


@trick("decay no-bias", writes=("groups",))
class NoBias(Trick):
    """Keep biases, and the parameters of normalisations, from decaying."""

    norms: str = choice("skip", "whether gamma and beta decay", of=("skip", "decay"), dialects={"torchvision": "decay"})

    def group(self, name: str, parameter: torch.Tensor, module: torch.nn.Module) -> Mapping[str, Any]:
        of_norm = "Norm" in type(module).__name__
        if of_norm:
            return {"weight_decay": 0.0} if self.norms == "skip" else {}
        is_weight = "weight" in name.rpartition(".")[2] and parameter.ndim > 1  # attention's in_proj_weight too
        return {} if is_weight else {"weight_decay": 0.0}
