"""compile [MODE]: compile the model with torch.compile before training."""

from __future__ import annotations

import attrs

from recipe.api import Training, Trick, choice, trick


@trick("compile")
class Compile(Trick):
    """Compile the rewritten model with torch.compile. The first batches take longer; it needs a C++ compiler."""

    mode: str = choice("default", "mode of torch.compile", of=("default", "reduce-overhead", "max-autotune"))

    def configure(self, training: Training) -> Training:
        return attrs.evolve(training, compile_mode=self.mode)
