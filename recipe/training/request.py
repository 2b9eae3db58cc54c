"""A run as data: what is asked for, where it trains, what it trains, and what is left to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import torch

from recipe.base.errors import RecipeError
from recipe.compiler.program import Program
from recipe.data.images import Sets
from recipe.devices.distributed import Ranks
from recipe.devices.precision import Precision
from recipe.plan.plan import Plan
from recipe.runs.provenance import Provenance
from recipe.runs.save_policy import SavePolicy
from recipe.runs.time_limit import TimeLimit
from recipe.training.given_teachers import NamedTeacher
from recipe.training.reporting import Listener
from recipe.training.runtime import Runtime


@attrs.frozen(eq=False)
class Request:
    """The arguments of a run. See `recipe.run` for what each one means."""

    plan: Plan
    compiled: Program | None = None
    out: str | Path | None = None
    device: str | None = None
    strict: bool = False
    resume: bool = False
    allow_changed: bool = False
    policy: SavePolicy = attrs.field(factory=SavePolicy)
    limit: TimeLimit | None = None
    test: bool = True
    """Whether to evaluate the test images at the end."""
    students: tuple[Path, ...] = ()
    """The folders of the students that wait for this teacher. A request there to end early is meant for it too."""
    listener: Listener = attrs.field(factory=Listener)
    trackers: tuple[str, ...] = ()
    """The names of the trackers that the listener logs to, which the command that resumes the run repeats."""
    name: str = "run"
    runtime: Runtime = attrs.field(factory=Runtime)


@attrs.frozen(eq=False)
class Place:
    """Where a run trains: its device, precision, processes and folder."""

    device: torch.device
    precision: Precision
    ranks: Ranks
    folder: Path
    resumes: bool
    """Whether the folder contains something to resume."""


@attrs.frozen(eq=False)
class Prepared:
    """What to train: the images, the program that fits them, and each teacher with its program."""

    sets: Sets
    program: Program
    teachers: list[tuple[NamedTeacher, Program]]
    provenance: Provenance
    """What identifies the images, their classes, and the files that the recipe names."""
    data_changes: list[str] = attrs.field(factory=list)
    """What has changed in the data since the run to resume started."""
    lost: RecipeError | None = None
    """Why the initial weights can't be loaded, which a run that resumes from a checkpoint doesn't need."""
    note: str = ""
    """A note about the initial weights, or empty."""
    named: frozenset[str] = frozenset()
    """Why images are skipped that notes name already."""


@attrs.frozen
class Fresh:
    """Training starts at the first step."""


@attrs.frozen
class Resume:
    """Training resumes from the folder's last checkpoint."""


@attrs.frozen
class Done:
    """The folder has the summary and weights of this exact plan. If they can be read, nothing is left to train."""

    summary: dict[str, Any]
