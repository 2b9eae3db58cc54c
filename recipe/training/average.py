"""The average of the weights that a training may keep, and evaluates in their place."""

from __future__ import annotations

import attrs
import torch
from torch import fx, nn

from recipe.plugins.calling import call_hook
from recipe.plugins.progress import Progress
from recipe.plugins.uses import Use
from recipe.training.tensors import Places


@attrs.frozen(eq=False)
class Side:
    """The tensors of one of two models: those that are averaged, weights and running statistics, and the others."""

    averaged: Places
    copied: Places

    @classmethod
    def of(cls, model: nn.Module) -> Side:
        return cls(Places.of(model, floating=True), Places.of(model, floating=False))


@attrs.frozen(eq=False)
class Average:
    """The average of the weights and of running statistics, as a trick makes it; counts are those of the model."""

    model: fx.GraphModule
    use: Use
    mine: Side
    theirs: Side

    @classmethod
    def of(cls, averaged: fx.GraphModule, model: nn.Module, use: Use) -> Average:
        """The average, in ``averaged``, of a model with the same parameters and buffers in the same order."""
        return cls(averaged, use, Side.of(averaged), Side.of(model))

    @torch.no_grad()
    def update(self, progress: Progress) -> None:
        """Follow the model after an update."""
        call_hook(self.use, "average", self.mine.averaged(), self.theirs.averaged(), progress)
        if counts := self.mine.copied():
            torch._foreach_copy_(counts, self.theirs.copied())
