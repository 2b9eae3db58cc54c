"""What a part of a network costs, as plain data; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Cost:
    """What a part of a network costs for one image, forward.

    ``macs`` are multiply-accumulates of convolutions and matrix products (the paper's "FLOPs"); ``flops`` are twice
    that; ``activations`` are the numbers that convolutions and fully connected layers put out.
    """

    params: int = 0
    macs: int = 0
    activations: int = 0

    @property
    def flops(self) -> int:
        return 2 * self.macs

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.params + other.params, self.macs + other.macs, self.activations + other.activations)


@attrs.frozen(kw_only=True)
class Costs(Cost):
    """The cost of a network for one image of ``size`` × ``size``, in all and stage by stage."""

    size: int
    stages: Mapping[str, Cost]

    @property
    def total(self) -> Cost:
        return Cost(self.params, self.macs, self.activations)
