"""loss [aux=W]: cross entropy, and the loss weight of auxiliary heads, which Inception-V3 and GoogLeNet have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe.api import Training, Trick, number, trick


@trick("loss", position=150, known_as=("ce", "cross-entropy", "crossentropy-loss", "softmax-loss", "criterion", "nll"))
class Loss(Trick):
    """Minimize the cross entropy between the predicted and the target distribution."""

    aux: float = number(0.4, "loss weight of each auxiliary head (Szegedy et al. 2016)", minimum=0, maximum=10)

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"aux_weight": self.aux}
