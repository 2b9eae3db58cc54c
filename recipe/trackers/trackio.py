"""trackio: a local dashboard, or one on Hugging Face if TRACKIO_SPACE_ID names it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from recipe.trackers.tracker import TrackedRun, Tracker


class Session:
    """One run there, which is resumed by its name."""

    def __init__(self, run: TrackedRun) -> None:
        import trackio

        self.step: int | None = None
        """The last step that was logged. None leaves the choice to trackio."""
        self.run: Any = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", "recipe"),
            name=f"{run.name}-{run.id[:8]}",
            space_id=os.environ.get("TRACKIO_SPACE_ID"),
            config={name: value for name, value in run.settings.items() if value is not None},
            resume="allow",
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.step = step
        self.run.log(dict(values), step=step)

    def flush(self) -> None:
        """It writes what is logged by itself."""

    def finish(self, results: Mapping[str, float | str]) -> None:
        """Log the results at the last step, since it has no place of its own for them."""
        values, step = {f"result/{name}": value for name, value in results.items()}, results.get("steps")
        self.run.log(values, step=self.step if step is None else int(step))
        self.run.finish()


TRACKER = Tracker(
    "trackio", "A local dashboard, or the Hugging Face Space TRACKIO_SPACE_ID.", Session, needs=("trackio",),
    install="recipe-compiler[trackio]",
)  # fmt: skip
