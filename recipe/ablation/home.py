"""The folder of an ablation: where the things of each cell lie, and what is known of it."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from recipe import files
from recipe.ablation.budget import Budget
from recipe.ablation.table import Cell
from recipe.diagnostics import fail
from recipe.folder import measured, summary_of
from recipe.plan import Plan

FIRST = ".ablation.json."
"""How the temporary file begins that is the first in an ablation's folder: it may be all that a killed one left."""


@attrs.frozen
class Task:
    """A cell to be run: the plan under a seed, and the row that it was first met in."""

    plan: Plan = attrs.field(repr=False)
    seed: int
    label: str

    @property
    def digest(self) -> str:
        return self.plan.digest


@attrs.frozen
class Home:
    """The folder of an ablation, and where the things of each cell are in it."""

    folder: Path

    def run(self, digest: str) -> Path:
        return self.folder / "cells" / digest

    def recipe(self, digest: str) -> Path:
        return self.folder / "recipes" / f"{digest}.recipe"

    def log(self, digest: str) -> Path:
        return self.folder / "logs" / f"{digest}.log"

    def failure(self, digest: str) -> Path:
        """What is kept of a cell that diverged, which would do so again."""
        return self.folder / "diverged" / f"{digest}.json"

    def check(self, identity: str) -> None:
        """Raise `RecipeError` (E113) where the folder holds another ablation, or something else."""
        try:
            if not self.folder.exists() or all(path.name.startswith(FIRST) for path in self.folder.iterdir()):
                return
        except OSError as error:
            raise fail("E111", f"`{self.folder}` can't be used: {(error.strerror or str(error)).lower()}") from None
        try:
            kept = json.loads((self.folder / "ablation.json").read_text("utf-8"))["identity"]
        except (OSError, ValueError, KeyError, TypeError):
            raise fail("E113", f"`{self.folder}` holds other files already", help="name another --out") from None
        if kept != identity:
            message = f"`{self.folder}` holds the ablation of another recipe, mode, rows or code of a plugin"
            raise fail("E113", message, help="name another --out")

    def prepare(self, identity: str) -> None:
        """Make the folder, or go on with it."""
        self.check(identity)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            files.write_json(self.folder / "ablation.json", {"schema_version": 1, "identity": identity})
            for name in ("cells", "recipes", "logs", "diverged"):
                (self.folder / name).mkdir(exist_ok=True)
        except OSError as error:
            raise fail("E111", f"`{self.folder}` can't be written: {(error.strerror or str(error)).lower()}") from None

    def budgets(self, identity: str) -> dict[str, Budget]:
        """What was planned for this ablation's budgets before, by what was asked."""
        try:
            if json.loads((self.folder / "ablation.json").read_text("utf-8"))["identity"] != identity:
                return {}
            kept = json.loads((self.folder / "plan.json").read_text("utf-8"))["budgets"]
            return {asked: Budget(int(b["seeds"]), int(b["epochs"]), float(b["seconds"])) for asked, b in kept.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def keep(self, budgets: Mapping[str, Budget]) -> None:
        plans = {asked: attrs.asdict(one) for asked, one in budgets.items()}
        files.write_json(self.folder / "plan.json", {"schema_version": 1, "budgets": plans})

    def cell(self, digest: str, seed: int) -> Cell:
        """What came of a cell, as far as it has come."""
        summary = summary_of(self.run(digest))
        if summary.get("digest") == digest:
            seconds, memory = _epoch(self.run(digest), summary), summary.get("peak_memory_bytes")
            precision, device = summary.get("precision"), summary.get("device", "").partition(":")[0] or None
            return Cell(digest, seed, "finished", summary["top1"], summary["loss"], seconds, memory, precision, device)
        return Cell(digest, seed, "diverged" if self.failure(digest).exists() else "missing")

    def epoch(self, digest: str) -> float | None:
        """How many epochs a cell has trained for, by its metrics."""
        lines = measured(self.run(digest), last=4096)
        return float(lines[-1]["epoch"]) if lines else None


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
