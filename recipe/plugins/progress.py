"""The progress of training."""

from __future__ import annotations

import attrs


@attrs.frozen
class Progress:
    """The progress of training. A learning rate may depend on nothing else."""

    step: int
    """The index of the batch, counted from 0 since the start of the training."""
    steps_per_epoch: int
    """The number of batches in each epoch."""
    epochs: float
    """The length of the training, in epochs."""
    warmup: float = 0.0
    """The length of the warmup, in epochs."""

    @property
    def epoch(self) -> float:
        """Epochs completed before this step."""
        return self.step / self.steps_per_epoch

    @property
    def after_warmup(self) -> float:
        """The completed fraction, from 0 to 1, of the training after the warmup, counted in batches."""
        total = self.epochs - self.warmup
        return min(1.0, max(0.0, (self.epoch - self.warmup) / total)) if total > 0 else 0.0
