"""compile [MODE]: compile the model with torch.compile before training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import Training, Trick, choice, fail, trick

if TYPE_CHECKING:
    from recipe.api import PlanView

CAPTURED = ("reduce-overhead", "max-autotune")
"""Modes that replay CUDA graphs on a GPU. Each replay overwrites the gradients of the previous one."""


@trick("compile", position=180, known_as=("torch-compile", "inductor"), similar_to=("torchscript", "jit"))
class Compile(Trick):
    """Compile the rewritten model with torch.compile. Requires a C++ compiler, and slows down the first batches.

    `reduce-overhead` and `max-autotune` capture CUDA graphs on a GPU. They reject micro-batches on every device.
    """

    mode: str = choice("default", "torch.compile mode", of=("default", *CAPTURED))

    def check(self, plan: PlanView) -> Iterable[str]:
        training = plan.training
        in_parts = training.micro_auto or (training.micro is not None and training.micro < training.batch)
        if self.mode in CAPTURED and in_parts:
            message = f"`compile {self.mode}` captures CUDA graphs, which can't accumulate gradients over micro-batches"
            help = "use `compile` without a mode, or remove `batch micro`"
            raise fail("E030", message, help=help)
        return ()

    def configure(self, training: Training) -> Mapping[str, Any]:
        return {"compile_mode": self.mode}
