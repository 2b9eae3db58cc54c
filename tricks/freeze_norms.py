"""freeze norms: keep the running statistics and the parameters of batch normalization.

He et al. 2016 (ResNet, appendix A) fine-tune for object detection this way: batches of few images are too small to
estimate statistics. Wu and Johnson 2021 ("Rethinking 'Batch' in BatchNorm") study it as FrozenBN.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Progress, Trick, fail, trick
from recipe.tricks._frozen import without_weights

if TYPE_CHECKING:
    from recipe.api import Net, PlanView


@trick(
    "freeze norms",
    position=140,
    writes=("frozen",),
    known_as=("freeze-bn", "frozen-bn", "freeze-batchnorm", "frozen-batchnorm"),
)
class Norms(Trick):
    """Freeze all batch normalization: it uses its running statistics, which don't change, and its gamma and beta.

    This keeps the statistics of pretrained weights if batches are too small to estimate new ones. Models with layer
    normalization have no running statistics, and are refused.
    """

    def check(self, plan: PlanView) -> Iterable[str]:
        return without_weights(plan)

    def frozen(self, net: Net, progress: Progress) -> Iterable[str]:
        from torch.nn.modules.batchnorm import _BatchNorm

        found = [name for name, module in net.graph_module.named_modules() if isinstance(module, _BatchNorm)]
        if not found:
            raise fail("E101", "`freeze norms` finds no batch normalization in the model", help="remove `freeze norms`")
        return found
