"""Weights & Biases. Its own environment variables, such as WANDB_PROJECT and WANDB_MODE, say where and how."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from recipe.trackers.tracker import TrackedRun, Tracker


class Session:
    """One run there, with the same identifier whenever this run is logged."""

    def __init__(self, run: TrackedRun) -> None:
        import wandb

        self.run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "recipe"),
            name=run.name,
            id=run.id,
            resume="allow",
            config=dict(run.settings),
            dir=run.folder,
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def flush(self) -> None:
        """It sends what is logged by itself."""

    def finish(self, results: Mapping[str, float | str]) -> None:
        self.run.summary.update(dict(results))
        self.run.finish()


TRACKER = Tracker(
    "wandb", "Weights & Biases, in the project WANDB_PROJECT or `recipe`.", Session, needs=("wandb",),
    install="recipe-compiler[wandb]",
)  # fmt: skip
