"""TensorBoard: event files in the run folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe.base import files
from recipe.trackers.tracker import TrackedRun, Tracker

NAME = "tensorboard"


class Events:
    """Writes event files. Those of an earlier process are removed first, since all steps are logged again."""

    def __init__(self, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = run.folder / NAME
        files.make_folder(folder)
        for old in folder.glob("events.out.tfevents.*"):
            files.remove(old)
        self.writer: Any = SummaryWriter(str(folder))
        self.writer.add_text("recipe", "".join(f"    {line}\n" for line in run.recipe.splitlines()))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def flush(self) -> None:
        self.writer.flush()

    def finish(self, results: Mapping[str, float | str]) -> None:
        self.writer.add_text("results", "".join(f"    {name}: {value}\n" for name, value in results.items()))
        self.writer.close()


TRACKER = Tracker(
    "TensorBoard",
    f"Event files in the run folder: {NAME}/.",
    Events,
    rewrites=True,
    needs=("tensorboard",),
    install="recipe-compiler[tensorboard]",
)
