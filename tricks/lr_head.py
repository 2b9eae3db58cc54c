"""lr … head FACTOR: another learning rate for the last layer, whose initial weights are random in fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import Trick, number, trick

if TYPE_CHECKING:
    import torch

    from recipe.api import ParamPlace


@trick("lr head", position=120, writes=("groups",), known_as=("head-lr", "classifier-lr", "head-learning-rate"))
class Head(Trick):
    """Multiply the learning rate of the last layer, and of auxiliary heads, by a factor: `lr 0.01 head 10`.

    Factors multiply, so with ``lr layers`` the last layer has FACTOR times the base rate, too.
    """

    factor: float = number(help="factor of the learning rate of the last layer", above=0, maximum=1e6, example="10")

    def param_options(
        self, name: str, parameter: torch.Tensor, module: torch.nn.Module, place: ParamPlace
    ) -> Mapping[str, Any]:
        return {"lr_scale": self.factor} if place.head else {}
