"""The folders of an ablation: its table, the runs of its cells, and the state of each run."""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from recipe.ablation.cells.budget import Budget
from recipe.ablation.statistics.results import Cell
from recipe.base import files
from recipe.base.caller import another_folder
from recipe.base.errors import RecipeError, fail
from recipe.base.typed_json import Malformed, read_json
from recipe.base.wording import plural, system_reason
from recipe.data.fingerprint import Fingerprint
from recipe.plan.plan import Plan
from recipe.runs import checkpoints
from recipe.runs.held_out import read_held_out
from recipe.runs.layout import check_others, clear
from recipe.runs.provenance import Classes, Data, differences, read_provenance
from recipe.runs.reader import environment_of, measured, summary_of
from recipe.runs.records import FINISHED

OWN_FILES = ("ablation.json", "table.", "chart.", "test.json", "cells", "jobs")
"""Prefixes of an ablation's files. Names that start with a dot are left by a process killed while writing."""


MADE_BY = ("recipe-compiler", "torch")
"""Packages that affect the last bits of a run."""


@attrs.frozen
class Kept:
    """`ablation.json`: the budgets planned earlier, by request."""

    budgets: dict[str, Budget]


@attrs.frozen
class Ending:
    """`diverged.json`: the last lines of the output of a run that diverged."""

    said: list[str]


@attrs.frozen
class Task:
    """A cell to run: a plan under one seed, labeled with the first row that contains it.

    ``stamp`` covers what the plan's digest does not: the code of plugins, the images, and the files that it names.
    """

    folder: Path = attrs.field(repr=False)
    """The folder of all cells. Several ablations may share it."""
    plan: Plan = attrs.field(repr=False)
    seed: int
    label: str
    stamp: str
    teachers: tuple[Task, ...] = attrs.field(default=(), repr=False)
    """The runs that must finish first."""
    data: tuple[Classes, Data] | None = attrs.field(default=None, repr=False)
    """The classes and the data that it must be trained on, or None if they are unknown on this machine."""

    @property
    def name(self) -> str:
        """The base name of its files. Cells with the same name share a run."""
        return f"{self.stamp}/{self.plan.digest}"

    @property
    def run(self) -> Path:
        return self.folder / self.name

    def file(self, kind: str) -> Path:
        """Return the path of a file next to the run folder.

        ``recipe`` and ``log`` are its input and output, ``failure.json`` describes a failed command, and
        ``diverged.json`` marks a cell that diverged and would do so again.
        """
        return self.run.with_suffix(f".{kind}")

    def prepare(self) -> None:
        """Create what the run starts from: its recipe, an empty log, and links to its teachers' runs."""
        if self.run.is_symlink() or self.run.parent.is_symlink():
            help = "remove the link, then rerun the command"
            raise fail("E111", f"`{self.run}` can't be written: it is reached through a symbolic link", help=help)
        try:
            self.run.parent.mkdir(parents=True, exist_ok=True)
            for kind in ("failure.json", "diverged.json"):
                files.remove(self.file(kind))
        except OSError as error:
            raise fail("E111", f"`{self.run}` can't be written: {system_reason(error)}") from None
        if self.is_of_other_data():
            clear(self.run)
        files.write_text(self.file("recipe"), self.plan.canonical())
        files.write_text(self.file("log"), "")
        for teacher in (teacher for teacher in self.teachers if teacher.stamp != self.stamp):
            beside = self.run.with_name(teacher.plan.digest)
            with contextlib.suppress(FileExistsError):
                beside.symlink_to(Path("..") / teacher.name, target_is_directory=True)

    def cell(self) -> Cell:
        """Return the result so far."""
        summary = summary_of(self.run)
        if summary.get("status") != FINISHED:  # it ended early, so it is resumed
            summary = {}
        if summary.get("digest") != self.plan.digest or self.is_of_other_data():
            return Cell(self.name, self.seed, "diverged" if self._diverged() else "missing")
        same = {name: summary.get(name) for name in ("top1", "loss", "peak_memory_bytes", "precision")}
        seconds, made_with = _epoch_seconds(self.run, summary), _made_with(self.run, summary)
        return Cell(self.name, self.seed, "finished", seconds_per_epoch=seconds, made_with=made_with, **same)

    def curve(self) -> tuple[tuple[float, float], ...]:
        """Return the epochs at which its run was evaluated, and the top-1 on held-out images."""
        lines = (line for line in measured(self.run) if line["kind"] == "evaluation")
        return tuple((float(line["epoch"]), float(line["top1"])) for line in lines)

    def correct(self) -> tuple[str, npt.NDArray[np.bool_]] | None:
        """Return a digest of the held-out images and which ones its finished run classifies correctly, if known."""
        try:
            held_out = read_held_out(self.run)
        except RecipeError:
            return None
        return held_out.images, held_out.correct

    @property
    def test(self) -> Fingerprint | None:
        """The images for a test, or None if there are none.

        If the data is unknown on this machine, those that its run recorded, if it has begun.
        """
        if self.data is not None:
            return self.data[1].test
        with contextlib.suppress(RecipeError):
            if made := read_provenance(self.run):
                return made.data.test
        return None

    def is_of_other_data(self) -> bool:
        """Whether the run was started on other data than the ablation: images or files changed in the meantime.

        Those of a test don't count, because the run doesn't see them.
        """
        try:
            made = read_provenance(self.run)
        except RecipeError:
            return True
        if made is None or self.data is None:
            return False
        classes, data = self.data
        return made.classes != classes or bool(differences(made.data, attrs.evolve(data, test=None)))

    def _diverged(self) -> bool:
        try:
            read_json(self.file("diverged.json"), Ending)
        except (OSError, Malformed):
            return False
        return True

    def epoch(self) -> float | None:
        """Return the number of epochs trained so far, according to its metrics."""
        lines = measured(self.run, last=4096)
        return float(lines[-1]["epoch"]) if lines else None

    def trim(self) -> None:
        """Delete the checkpoints of a finished run. They take most of its space and are not needed again."""
        if not self.run.is_symlink():
            checkpoints.clear(self.run / "checkpoints")


def check(folder: Path) -> None:
    """Raise `RecipeError` if an ablation's folder contains anything else (E113) or is no folder (E111)."""
    if folder.exists() and not folder.is_dir():
        raise fail("E111", f"`{folder}` can't be written: it is a file", help=another_folder())
    check_others(folder, OWN_FILES)


def kept_budgets(folder: Path) -> dict[str, Budget]:
    """Return the budgets planned earlier, by request."""
    try:
        return read_json(folder / "ablation.json", Kept).budgets
    except (OSError, Malformed):
        return {}


def prepare(folder: Path, cells: Path, more: Mapping[str, Budget]) -> None:
    """Create an ablation's folders, or reuse them, and save the planned budgets."""
    check(folder)
    plans = {asked: attrs.asdict(budget) for asked, budget in {**kept_budgets(folder), **more}.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / "ablation.json", {"schema_version": 1, "budgets": plans})
        cells.parent.mkdir(parents=True, exist_ok=True)
        files.make_folder(cells)
    except OSError as error:
        raise fail("E111", f"`{folder}` can't be written: {system_reason(error)}") from None


def _epoch_seconds(folder: Path, summary: Mapping[str, Any]) -> float | None:
    """Return the seconds of training per epoch: the mean, since tricks may make epochs longer or shorter.

    Uses the median speed of each epoch, which an interruption does not change.
    """
    speeds: dict[int, list[float]] = {}
    for line in measured(folder):
        if line["kind"] == "train" and line["images_per_second"]:
            speeds.setdefault(math.ceil(line["epoch"]), []).append(line["images_per_second"])
    images = summary["training_images"]
    seconds = statistics.fmean(images / statistics.median(epoch) for epoch in speeds.values()) if speeds else None
    return seconds if seconds is not None and math.isfinite(seconds) else None


def _made_with(folder: Path, summary: Mapping[str, Any]) -> str:
    """Describe what affects a run's last bits besides its recipe: versions, device, threads, and micro-batches."""
    known = environment_of(folder)
    if known is None or not known.packages.keys() >= {*MADE_BY}:
        return ""
    packages = [f"{name} {known.packages[name]}" for name in MADE_BY]
    device = summary["device"].partition(":")[0]
    where = f"{known.device_name} ({device})"
    if device == "cpu":
        where = f"{device}, {plural(known.threads, 'thread')}" if known.threads else device
    micro = [f"micro-batches of {summary['micro']}"] if summary["micro"] else []
    return ", ".join([*packages, where, *micro])
