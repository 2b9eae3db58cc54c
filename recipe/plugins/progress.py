"""The progress of training."""

from __future__ import annotations

import attrs


@attrs.frozen
class Progress:
    """The progress of training. A learning rate may depend on nothing else.

    ``step`` counts batches from 0 over the whole training. ``epochs`` and ``warmup`` are in epochs.
    """

    step: int
    steps_per_epoch: int
    epochs: float
    warmup: float = 0.0

    @property
    def epoch(self) -> float:
        """Epochs completed before this step."""
        return self.step / self.steps_per_epoch

    @property
    def after_warmup(self) -> float:
        """The completed fraction, from 0 to 1, of the training after the warmup, counted in batches."""
        total = self.epochs - self.warmup
        return min(1.0, max(0.0, (self.epoch - self.warmup) / total)) if total > 0 else 0.0
