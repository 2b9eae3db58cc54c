"""When to save checkpoints, and how many to keep. Needs no torch."""

from __future__ import annotations

import re
import time

import attrs

from recipe.base.caller import named
from recipe.base.errors import fail
from recipe.base.wording import parse_duration
from recipe.runs.time_limit import in_seconds

EVERY = "epoch,10m"
"""Default schedule for saving checkpoints."""

CHECKPOINTS = 2
"""Default number of checkpoints to keep."""


@attrs.frozen
class SavePolicy:
    """When to save checkpoints, and how many to keep. A run always saves one when training ends."""

    epochs: bool = True
    steps: int | None = None
    seconds: float | None = 600.0
    checkpoints: int = CHECKPOINTS

    @classmethod
    def of(cls, text: str = EVERY, checkpoints: int = CHECKPOINTS) -> SavePolicy:
        """Parse a schedule: `epoch`, `500` (steps), `15m`, or several of them separated by commas.

        Raises `RecipeError` (E118).

        >>> SavePolicy.of("epoch,15m")
        SavePolicy(epochs=True, steps=None, seconds=900.0, checkpoints=2)
        """
        if checkpoints < 1:
            raise fail("E118", f"a run must keep at least one checkpoint, not {checkpoints}")
        epochs, steps, seconds = False, None, None
        for word in map(str.strip, text.split(",")):
            if word == "epoch":
                epochs = True
            elif count := re.fullmatch(r"([1-9]\d{0,8})(steps?)?", word):
                steps = int(count[1])
            elif duration := parse_duration(word):
                seconds = duration
            else:
                help = "use `epoch`, steps such as `500`, a time such as `15m` or `1h`, or several: `epoch,15m`"
                raise fail("E118", f"invalid value `{word}` for {named('--save-every')}", help=help)
        return cls(epochs, steps, seconds, checkpoints)

    @property
    def schedule(self) -> str:
        """The schedule as `of` reads it: ``epoch,500,600s``."""
        words = ["epoch"] * self.epochs
        words += [] if self.steps is None else [str(self.steps)]
        words += [] if self.seconds is None else [in_seconds(self.seconds)]
        return ",".join(words)

    def at(self, step: int, epoch_ends: bool) -> bool:
        """Whether a checkpoint is due after a step, by step or epoch count."""
        return (self.epochs and epoch_ends) or (self.steps is not None and step % self.steps == 0)

    def late(self, saved: float) -> bool:
        """Whether a checkpoint is due by time. ``saved`` is the `time.monotonic` time of the last one, in seconds."""
        return self.seconds is not None and time.monotonic() - saved >= self.seconds
