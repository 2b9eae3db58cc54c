"""ema DECAY: evaluate an exponential moving average of the weights. Polyak and Juditsky 1992; Tan and Le 2019."""

from __future__ import annotations

import attrs

from recipe.api import Training, Trick, number, trick


@trick("ema", writes=("average",))
class Ema(Trick):
    """Keep a moving average of the weights, which is what is evaluated and kept.

    After update t the decay is min(DECAY, (1 + t) / (10 + t)), so that the average leaves the initial weights early.
    """

    decay: float = number(0.9999, "part of the average that an update leaves", minimum=0, below=1)

    def configure(self, training: Training) -> Training:
        return attrs.evolve(training, average_decay=self.decay)
