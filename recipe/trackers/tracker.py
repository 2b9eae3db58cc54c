"""What an experiment tracker is. Imports neither torch nor any tracker's package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import attrs

from recipe.plugins.offers import Offer, Offers


@attrs.frozen
class TrackedRun:
    """The run to log."""

    folder: Path
    """The run folder."""
    name: str
    """The name of the folder."""
    id: str
    """What identifies the run for a tracker that keeps runs elsewhere: the same whenever this run is logged."""
    recipe: str
    """The text of its recipe.lock."""
    settings: Mapping[str, str | None]
    """The values of its recipe, by trick and field."""


class Writer(Protocol):
    """Logs one run."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log values of a step, such as ``train/loss`` or ``evaluation/top1``."""

    def flush(self) -> None:
        """Write what has been logged so far."""

    def finish(self, results: Mapping[str, float | str]) -> None:
        """Log the ``status`` of the run and, if it has finished, its results. Nothing is logged after that."""


@attrs.frozen
class Tracker(Offer):
    """A place where runs are logged. See docs/guides/track.md."""

    help: str
    """One line about where it logs."""
    open: Callable[[TrackedRun], Writer]
    """Return what logs a run."""
    rewrites: bool = False
    """Whether ``open`` starts from nothing, so that all steps are logged again. Otherwise, only new ones are."""


TRACKERS = Offers("recipe.trackers", Tracker, "tracker", "E130")


def find(name: str) -> Tracker:
    """Return a tracker by name. Raises `RecipeError` (E130) if it is unknown or a package that it needs is missing."""
    tracker = TRACKERS.find(name)
    tracker.check_installed(f"logging to {tracker.name}", "E130")
    return tracker
