"""The cost of a network or a part of it, as plain data. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Cost:
    """The cost of a part of a network for one image in the forward pass.

    ``macs`` counts the multiply-accumulates of convolutions and matrix products (the paper's "FLOPs"), and ``flops``
    is twice that. ``activations`` counts the output elements of convolutions and fully connected layers.
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
    """The cost of a network for one image of ``size`` × ``size`` pixels, in total and per stage."""

    size: int
    stages: Mapping[str, Cost]

    @property
    def total(self) -> Cost:
        return Cost(self.params, self.macs, self.activations)
