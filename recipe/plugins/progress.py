"""How far a training is."""

from __future__ import annotations

import attrs


@attrs.frozen
class Progress:
    """How far a training is: the only thing a learning rate may depend on.

    ``step`` counts batches from 0 over the whole training; ``epochs`` and ``warmup`` are in epochs.
    """

    step: int
    steps_per_epoch: int
    epochs: float
    warmup: float = 0.0

    @property
    def epoch(self) -> float:
        """Epochs done before this step."""
        return self.step / self.steps_per_epoch

    @property
    def after_warmup(self) -> float:
        """The done part, 0 to 1, of what comes after the warmup, counted in batches."""
        total = self.epochs - self.warmup
        return min(1.0, max(0.0, (self.epoch - self.warmup) / total)) if total > 0 else 0.0
