"""The optional average of the weights, which is evaluated in their place."""

from __future__ import annotations

import attrs
import torch
from torch import fx, nn

from recipe.plugins.calling import call_hook
from recipe.plugins.progress import Progress
from recipe.plugins.uses import Use
from recipe.training.tensors import Places


@attrs.frozen(eq=False)
class Average:
    """A trick's average of the weights and running statistics. Counts are copied from the model."""

    model: fx.GraphModule
    use: Use
    averaged: tuple[Places, Places]
    """The weights and running statistics of the average and of the model."""
    counts: tuple[Places, Places]
    """All other tensors of both."""

    @classmethod
    def of(cls, averaged: fx.GraphModule, model: nn.Module, use: Use) -> Average:
        """Average a model into ``averaged``, which has the same parameters and buffers in the same order."""
        floating, others = (
            (Places.of(averaged, floating=kind), Places.of(model, floating=kind)) for kind in (True, False)
        )
        return cls(averaged, use, floating, others)

    @torch.no_grad()
    def update(self, progress: Progress) -> None:
        """Update the average after the model's weights have changed."""
        averages, weights = (places() for places in self.averaged)
        call_hook(self.use, "average", averages, weights, progress)
        counts, theirs = (places() for places in self.counts)
        if counts:
            torch._foreach_copy_(counts, theirs)
