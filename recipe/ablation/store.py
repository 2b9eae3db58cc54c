"""The folders of an ablation: where its table lies, where the runs of its cells lie, and what is known of each."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from recipe.ablation.budget import Budget
from recipe.ablation.table import Cell
from recipe.base import files
from recipe.base.errors import fail
from recipe.base.wording import system_reason
from recipe.plan.plan import Plan
from recipe.runs.reader import measured, summary_of

OWN_FILES = ("ablation.json", "table.", "chart.", "cells", "jobs")
"""How the names of an ablation's files begin; a dot begins those of one that was killed while it wrote one."""


@attrs.frozen
class Task:
    """A cell to be run: the plan under a seed, and the row that it was first met in.

    ``stamp`` tells what the plan's digest does not: the code of plugins, and how many images there are.
    """

    plan: Plan = attrs.field(repr=False)
    seed: int
    label: str
    stamp: str
    teachers: tuple[Task, ...] = attrs.field(default=(), repr=False)
    """The runs that must have finished before."""

    @property
    def name(self) -> str:
        """What its files are named by: cells of equal names are one run."""
        return f"{self.stamp}/{self.plan.digest}"


@attrs.frozen
class Home:
    """The folder of an ablation's table, and the one of cells, which several ablations may share."""

    folder: Path
    cells: Path

    def run(self, task: Task) -> Path:
        """The folder of a cell's run."""
        return self.cells / task.name

    def ready(self, task: Task) -> None:
        """Write what a cell's run begins with: its recipe, an empty log, and its teachers' runs beside it."""
        beside = self.run(task).parent
        beside.mkdir(parents=True, exist_ok=True)
        files.write_text(self.recipe(task), task.plan.canonical())
        self.log(task).write_bytes(b"")
        self.failure(task).unlink(missing_ok=True)
        for teacher in (one for one in task.teachers if one.stamp != task.stamp):
            with contextlib.suppress(FileExistsError):
                (beside / teacher.plan.digest).symlink_to(Path("..") / teacher.name, target_is_directory=True)

    def recipe(self, task: Task) -> Path:
        return self.run(task).with_suffix(".recipe")

    def log(self, task: Task) -> Path:
        return self.run(task).with_suffix(".log")

    def failure(self, task: Task) -> Path:
        """What a cell's command leaves where it fails."""
        return self.run(task).with_suffix(".failure.json")

    def divergence(self, task: Task) -> Path:
        """What is kept of a cell that diverged, which would do so again."""
        return self.run(task).with_suffix(".diverged.json")

    def check(self) -> None:
        """Raise `RecipeError` (E113) where the folder holds something else than an ablation."""
        try:
            others = [path.name for path in self.folder.iterdir() if not path.name.startswith((*OWN_FILES, "."))]
        except FileNotFoundError:
            return
        except OSError as error:
            raise fail("E111", f"`{self.folder}` can't be read: {system_reason(error)}") from None
        if others:
            message = f"`{self.folder}` holds other files already, such as `{sorted(others)[0]}`"
            raise fail("E113", message, help="name another --out")

    def budgets(self) -> dict[str, Budget]:
        """What was planned for budgets before, by what was asked."""
        try:
            kept = json.loads((self.folder / "ablation.json").read_text("utf-8"))["budgets"]
            return {asked: Budget(int(b["seeds"]), int(b["epochs"]), float(b["seconds"])) for asked, b in kept.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def prepare(self, budgets: Mapping[str, Budget]) -> None:
        """Make the folder, or go on with it, and keep what was planned."""
        self.check()
        plans = {asked: attrs.asdict(one) for asked, one in {**self.budgets(), **budgets}.items()}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            files.write_json(self.folder / "ablation.json", {"schema_version": 1, "budgets": plans})
            self.cells.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise fail("E111", f"`{self.folder}` can't be written: {system_reason(error)}") from None

    def cell(self, task: Task) -> Cell:
        """What came of a cell, as far as it has come."""
        found = Cell(task.name, task.seed)
        summary = summary_of(self.run(task))
        if summary.get("digest") != task.plan.digest:
            return attrs.evolve(found, status="diverged") if self.divergence(task).exists() else found
        return attrs.evolve(
            found,
            status="finished",
            top1=summary["top1"],
            loss=summary["loss"],
            seconds_per_epoch=_epoch(self.run(task), summary),
            peak_memory_bytes=summary.get("peak_memory_bytes"),
            precision=summary.get("precision"),
            made_with=_made_with(self.run(task), summary),
        )

    def epoch(self, task: Task) -> float | None:
        """How many epochs a cell has trained for, by its metrics."""
        lines = measured(self.run(task), last=4096)
        return float(lines[-1]["epoch"]) if lines else None

    def trim(self, task: Task) -> None:
        """Leave of a finished run what is read again: its checkpoints take most of its room, and it is over."""
        shutil.rmtree(self.run(task) / "checkpoints", ignore_errors=True)


def _epoch(folder: Path, summary: Mapping[str, Any]) -> float | None:
    """Seconds that an epoch's training takes: the mean over the epochs, which tricks may make longer or shorter.

    Each counts by the median of its speeds, which an interruption does not change.
    """
    speeds: dict[int, list[float]] = {}
    for line in measured(folder):
        if line["kind"] == "train" and line.get("images_per_second"):
            speeds.setdefault(math.ceil(line["epoch"]), []).append(line["images_per_second"])
    if not speeds:
        return None
    return statistics.fmean(summary["training_images"] / statistics.median(found) for found in speeds.values())


def _made_with(folder: Path, summary: Mapping[str, Any]) -> str:
    """What decides a run's last bits beside its recipe: versions, device, threads, and micro batches."""
    try:
        found = json.loads((folder / "environment.json").read_text("utf-8"))
        packages = [f"{name} {found['packages'][name]}" for name in ("recipe-compiler", "torch")]
        device = summary["device"].partition(":")[0]
        where = f"{found['device_name']} ({device})" if device != "cpu" else f"{device}, {found['threads']} threads"
        micro = [f"micro batches of {summary['micro']}"] if summary.get("micro") else []
        return ", ".join([*packages, where, *micro])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
