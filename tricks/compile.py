"""compile [MODE]: compile the model with torch.compile before training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from recipe.api import Training, Trick, choice, fail, trick

if TYPE_CHECKING:
    from recipe.api import Plan

CAPTURED = ("reduce-overhead", "max-autotune")
"""Modes that replay CUDA graphs, in whose memory gradients lie until the next replay."""


@trick("compile")
class Compile(Trick):
    """Compile the rewritten model with torch.compile. The first batches take longer; it needs a C++ compiler."""

    mode: str = choice("default", "mode of torch.compile", of=("default", *CAPTURED))

    def check(self, plan: Plan) -> Iterable[str]:
        training = plan.training
        in_parts = training.micro_auto or (training.micro is not None and training.micro < training.batch)
        if self.mode in CAPTURED and in_parts:
            message = f"`compile {self.mode}` can't add up the gradients of a batch that is computed in parts"
            help = "use `compile` alone, which can, or leave `batch micro` out"
            raise fail("E030", message, help=help)
        return ()

    def configure(self, training: Training) -> Training:
        return attrs.evolve(training, compile_mode=self.mode)
