"""decay RATE: weight decay. The paper uses 1e-4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe.api import Training, Trick, number, trick


@trick("decay", position=130, known_as=("weight-decay", "wd", "l2-regularization", "l2-penalty"))
class Decay(Trick):
    """Set the weight decay, the rate at which parameters shrink toward zero."""

    rate: float = number(1e-4, "weight decay", minimum=0, maximum=1)

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"weight_decay": self.rate}
