"""End a training well before its last step: because `recipe finish` or the user asks for it, or its time is up."""

from __future__ import annotations

import math
import time
from pathlib import Path

import attrs

from recipe.base.caller import resuming
from recipe.base.errors import RecipeError, fail
from recipe.runs.requests import is_asked
from recipe.runs.time_limit import TimeLimit
from recipe.training.reporting import Listener

REASONS = ("", "`recipe finish` asked for it", "you asked for it", "the time of --max-time is up")
"""Why a training ends early, by the number that its processes exchange; 0 means that it continues."""

LOOK_EVERY = 0.1
"""Seconds between two looks for a request."""


@attrs.define
class EarlyEnd:
    """Decides between two steps, in the first process, whether a training ends early.

    ``evaluation`` and ``saving`` are the seconds that the last evaluation and checkpoint took. Those that follow an
    early end have to fit into the time limit.
    """

    listener: Listener = attrs.field(factory=Listener)
    limit: TimeLimit | None = None
    students: tuple[Path, ...] = ()
    """The folders in which a request ends the training too."""
    evaluation: float = 0.0
    saving: float = 0.0
    _looked: float = -math.inf

    def reason(self, folder: Path, evaluations: float = 1.0) -> int:
        """Return the number of the reason to end the training in a folder now, or 0.

        ``evaluations`` is the number of evaluations that follow an early end within an epoch, in terms of the last one.
        """
        if self.limit is not None and self.limit.left <= evaluations * self.evaluation + self.saving:
            return 3
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY:
            return 0
        self._looked = now
        return self._asked(folder)

    def may_follow(self, folder: Path) -> bool:
        """Whether the training may end early after the evaluation that is about to start."""
        return self.limit is not None or bool(self._asked(folder))

    def _asked(self, folder: Path) -> int:
        return 1 if any(map(is_asked, (folder, *self.students))) else 2 * self.listener.asks_to_finish()


def announced(number: int, step: int, steps: int) -> str:
    """Return the sentence on a training that ends early after ``step`` of its steps, for a reason's number."""
    return f"ended early after step {step} of {steps}: {REASONS[number]}"


def how_to_resume(folder: Path, options: tuple[str, ...]) -> str:
    """Return the sentence on how to train a run that ended early to its end.

    ``options`` are those of the command, without a time limit, which could end it early again.
    """
    return f"to train to the end: {resuming(folder, options)}"


def unfinished_teacher(folder: Path, step: int) -> RecipeError:
    """Return the error for a teacher that ended early, so that the training of its student can't start."""
    message = f"the teacher in `{folder}` ended early, after step {step}, but its student needs a finished one"
    help = "rerun the command to train the teacher to its end, and then the student"
    return fail("E133", message, help=help)
