"""What an experiment tracker is. Imports neither torch nor any tracker's package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import attrs

from recipe.base.errors import fail
from recipe.plugins.offers import Offers


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
class Tracker:
    """A place where runs are logged. See docs/guides/track.md."""

    name: str
    """The name of the tracker. In lower case, it is the name of the entry point and the value of ``--to``."""
    help: str
    """One line about where it logs."""
    open: Callable[[TrackedRun], Writer]
    """Return what logs a run."""
    rewrites: bool = False
    """Whether ``open`` starts from nothing, so that all steps are logged again. Otherwise, only new ones are."""
    needs: tuple[str, ...] = ()
    """The names of the modules that ``open`` imports."""
    install: str = ""
    """The pip requirement for those modules if it differs from their names."""
    package: str = ""
    """The package that provides the tracker, set when it is loaded."""

    @property
    def absent(self) -> list[str]:
        """The required modules that are not installed."""
        return [name for name in self.needs if find_spec(name) is None]


TRACKERS = Offers("recipe.trackers", Tracker, "tracker", "E130")


def find(name: str) -> Tracker:
    """Return a tracker by name. Raises `RecipeError` (E130) if it is unknown or a package that it needs is missing."""
    tracker = TRACKERS.find(name)
    if absent := tracker.absent:
        help = f"install it with `pip install '{tracker.install or absent[0]}'`"
        raise fail("E130", f"logging to {tracker.name} requires the package `{absent[0]}`", help=help)
    return tracker
