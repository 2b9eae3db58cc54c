"""freeze body: train only the last layer, as in linear probing and in the first phase of fine-tuning.

Kornblith et al. 2019 ("Do Better ImageNet Models Transfer Better?") compare such fixed features with fine-tuning.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Progress, Trick, fail, trick
from recipe.tricks._frozen import without_weights

if TYPE_CHECKING:
    from recipe.api import Net, PlanView


@trick(
    "freeze body",
    position=140,
    writes=("frozen",),
    known_as=(
        "freeze-backbone",
        "backbone-freeze",
        "linear-probe",
        "linear-probing",
        "feature-extractor",
        "freeze-encoder",
        "frozen-backbone",
    ),
)
class Body(Trick):
    """Freeze all but the heads: the last layer, which computes the logits, and those of auxiliary heads.

    The frozen part is in evaluation mode, as a feature extractor is: it normalizes by its running statistics, which
    don't change, and drops nothing out. Dropout between it and the last layer stays on. What is frozen for the entire
    training asks for no gradients, so a step takes less time and memory.
    """

    def check(self, plan: PlanView) -> Iterable[str]:
        return without_weights(plan)

    def frozen(self, net: Net, progress: Progress) -> Iterable[str]:
        from recipe.api import body_of

        if not net.heads:
            raise fail("E101", "the model has no last layer that could be trained alone")
        return body_of(net)
