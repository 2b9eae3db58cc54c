"""decay … no-bias: weight decay only for the weights of convolution and fully connected layers.

He et al. 2019, section 3.1 (Jia et al. 2018): biases, and the gamma and beta of normalization layers, do not decay.
torchvision's reference script separates the two: with its `--bias-weight-decay 0`, gamma and beta still decay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import Evidence, Trick, choice, trick
from recipe.tricks._paper import cumulative

if TYPE_CHECKING:
    import torch

    from recipe.api import ParamPlace, PlanView


@trick(
    "decay no-bias",
    position=130,
    writes=("groups",),
    known_as=("no-bias-decay", "no-weight-decay-bias", "bias-weight-decay", "filter-bias-and-bn"),
)
class NoBias(Trick):
    """Exempt biases and the parameters of normalization layers from weight decay."""

    norms: str = choice("skip", "whether gamma and beta decay", of=("skip", "decay"), dialects={"torchvision": "decay"})

    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
        for found in cumulative(plan, "zero gamma", "no bias decay"):
            # The paper recommends it for larger batches.
            yield Evidence("mixed", found.text, found.table, found.figures)

    def param_options(
        self, name: str, parameter: torch.Tensor, module: torch.nn.Module, place: ParamPlace
    ) -> Mapping[str, Any]:
        of_norm = "Norm" in type(module).__name__
        if of_norm:
            return {"weight_decay": 0.0} if self.norms == "skip" else {}
        is_weight = "weight" in role(name) and parameter.ndim > 1  # includes attention's in_proj_weight
        return {} if is_weight else {"weight_decay": 0.0}


def role(name: str) -> str:
    """Return the name of a parameter within its layer, or of the parameter that is computed from it.

    >>> role("conv1.weight"), role("conv1.parametrizations.weight.original1")  # as in torch's weight_norm
    ('weight', 'weight')
    """
    path, _, computed = name.rpartition(".parametrizations.")
    return computed.partition(".")[0] if path else name.rpartition(".")[2]
