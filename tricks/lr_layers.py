"""lr … layers DECAY: layer-wise learning rate decay.

Howard and Ruder 2018 (ULMFiT, section 3.2) call it discriminative fine-tuning; Clark et al. 2020 (ELECTRA) and Bao et
al. 2022 (BEiT) fine-tune transformers with it. Layers are those of timm's `param_groups_layer_decay` for timm's models,
and residual blocks for others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import Trick, fail, number, trick

if TYPE_CHECKING:
    import torch

    from recipe.api import ParamPlace


@trick(
    "lr layers",
    position=120,
    writes=("groups",),
    known_as=("layer-decay", "layerwise-decay", "layerwise-lr-decay", "llrd"),
    similar_to=("discriminative-lr",),
)
class Layers(Trick):
    """Lower the learning rate of earlier layers: multiply it by DECAY for each layer between them and the last one.

    The last layer has the base rate. `recipe explain` shows the factor of each group of parameters. Layers that a tweak
    made count as those that they replace.
    """

    decay: float = number(0.75, "factor of the learning rate from each layer to the one before it", above=0, maximum=1)

    def param_options(
        self, name: str, parameter: torch.Tensor, module: torch.nn.Module, place: ParamPlace
    ) -> Mapping[str, Any]:
        if place.depth is None:
            help = "the layers of a model are its residual blocks or the modules of its sequences; "
            help += (
                "with timm installed, a model of your own can state them with a method `group_matcher`, as timm's do"
            )
            raise fail("E101", "`lr layers` can't tell the layers of the model apart", help=help)
        return {"lr_scale": self.decay ** (place.layers - 1 - place.depth)}
