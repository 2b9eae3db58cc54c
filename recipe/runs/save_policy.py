"""When checkpoints are saved, and how many are kept; needs no torch."""

from __future__ import annotations

import re
import time

import attrs

from recipe.base.errors import fail
from recipe.base.wording import parse_duration

EVERY = "epoch,10m"
"""When a run saves one, unless it is told otherwise."""

KEEP = 2
"""How many a run keeps, unless it is told otherwise."""


@attrs.frozen
class SavePolicy:
    """When checkpoints are saved, and how many are kept. The end of a training always saves one."""

    epochs: bool = True
    steps: int | None = None
    seconds: float | None = 600.0
    keep: int = KEEP

    @classmethod
    def of(cls, text: str = EVERY, keep: int = KEEP) -> SavePolicy:
        """A cadence as it is written: `epoch`, `500` (steps), `15m`, or several of them with commas between.

        Raises `RecipeError` (E118).

        >>> SavePolicy.of("epoch,15m")
        SavePolicy(epochs=True, steps=None, seconds=900.0, keep=2)
        """
        if keep < 1:
            raise fail("E118", f"a training keeps one checkpoint or more, not {keep}")
        epochs, steps, seconds = False, None, None
        for word in map(str.strip, text.split(",")):
            if word == "epoch":
                epochs = True
            elif count := re.fullmatch(r"([1-9]\d{0,8})(steps?)?", word):
                steps = int(count[1])
            elif duration := parse_duration(word):
                seconds = duration
            else:
                help = "it takes `epoch`, steps such as `500`, a time such as `15m` or `1h`, or several: `epoch,15m`"
                raise fail("E118", f"`--save-every` does not take `{word}`", help=help)
        return cls(epochs, steps, seconds, keep)

    def at(self, step: int, epoch_ends: bool) -> bool:
        """Whether a checkpoint is due by count after a step."""
        return (self.epochs and epoch_ends) or (self.steps is not None and step % self.steps == 0)

    def late(self, saved: float) -> bool:
        """Whether one is due by the clock; ``saved`` is when the last was, in seconds of `time.monotonic`."""
        return self.seconds is not None and time.monotonic() - saved >= self.seconds
