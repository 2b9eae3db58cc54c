"""The average of the weights that a training may keep, and evaluates in their place."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor, fx, nn

from recipe.guest import ask
from recipe.plan import Use
from recipe.training import Progress

Pairs = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
"""Tensors of an average, and those of the model that they follow, in the same order."""


@attrs.frozen(eq=False)
class Average:
    """The average of the weights and of running statistics, as a trick makes it; counts are those of the model."""

    model: fx.GraphModule
    use: Use
    floats: Pairs
    counts: Pairs

    @classmethod
    def of(cls, averaged: fx.GraphModule, model: nn.Module, use: Use) -> Average:
        """The average, in ``averaged``, of a model with the same tensors in the same order. Both keep their tensors."""
        mine, theirs = ([*one.parameters(), *one.buffers()] for one in (averaged, model))
        pairs = [(a.detach(), b.detach()) for a, b in zip(mine, theirs, strict=True)]
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        counts = [pair for pair in pairs if not pair[0].is_floating_point()]
        return cls(averaged, use, _apart(floats), _apart(counts))

    @torch.no_grad()
    def update(self, progress: Progress) -> None:
        """Follow the model after an update."""
        ask(self.use, "average", *self.floats, progress)
        if self.counts[0]:
            torch._foreach_copy_(*self.counts)


def _apart(pairs: list[tuple[Tensor, Tensor]]) -> Pairs:
    return tuple(mine for mine, _ in pairs), tuple(theirs for _, theirs in pairs)
