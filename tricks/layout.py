"""layout channels-last|contiguous: how images and activations lie in memory."""

from __future__ import annotations

import attrs

from recipe.api import Training, Trick, choice, trick


@trick("layout")
class Layout(Trick):
    """Choose the memory layout: channels last is faster on CPUs and on GPUs with tensor cores."""

    order: str = choice("channels-last", "memory layout", of=("channels-last", "contiguous"))

    def configure(self, training: Training) -> Training:
        return attrs.evolve(training, channels_last=self.order == "channels-last")
