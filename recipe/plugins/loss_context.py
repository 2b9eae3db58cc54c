"""What a loss term may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
from torch import Tensor

Teach = Mapping[str, Callable[[Tensor], Tensor]]
"""The teachers of a plan: from the digest of each to the function from inputs to its logits."""


@attrs.frozen(eq=False)
class LossContext:
    """What a loss term may look at: logits (N, K) float32, target distributions (N, K), and the inputs (N, 3, H, W).

    ``loss`` is what the recipe makes of logits and targets without its terms: cross entropy where no trick judges.
    """

    logits: Tensor
    targets: Tensor
    images: Tensor
    loss: Tensor
    teachers: Teach = attrs.field(factory=dict)

    def teach(self, digest: str) -> Tensor:
        """The logits (N, K) of the teacher whose plan has this digest, for the same inputs."""
        return self.teachers[digest](self.images)
