"""The beginning of a run in its folder: what is written before the first step, and what has changed since the start."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import attrs

from recipe.base import files
from recipe.base.errors import fail
from recipe.base.sealed import write_sealed
from recipe.base.wording import system_reason
from recipe.language.recipe_input import LOCK
from recipe.plan.plan import Plan
from recipe.runs.environment import differences
from recipe.runs.held_out import EVALUATION
from recipe.runs.provenance import DATA, Provenance, write_provenance
from recipe.runs.reader import environment_of, measured
from recipe.runs.recipe_lock import lock_text
from recipe.runs.records import Environment
from recipe.runs.weights import NAME

ENVIRONMENT = "environment.json"

CURVES = "curves.png"


def changes_since(folder: Path, environment: Environment, data_changes: Sequence[str], step: int) -> list[str]:
    """Return notes on what has changed since the run started that resumes in a folder at ``step``."""
    notes, before = [], environment_of(folder) if step else None
    if before and (changes := differences(before, environment)):
        notes.append(f"resumed in another environment, so the last bits may differ: {', '.join(changes)}")
    if data_changes:
        notes.append(f"the data has changed from step {step} on: {'; '.join(data_changes)}")
    return notes


def begin(
    folder: Path,
    plan: Plan,
    environment: Environment,
    provenance: Provenance,
    data_changes: Sequence[str] = (),
    step: int = 0,
) -> None:
    """Write what is known before the first step.

    A run that resumes at ``step`` keeps the files of its start under another name if they are replaced by different
    ones: ``environment-until-000000123.json``. The notes of `changes_since` must be in a checkpoint by then, since
    nothing tells them afterwards.
    """
    before = environment_of(folder) if step else None
    if before and differences(before, environment):
        _keep(folder / ENVIRONMENT, step)
    if data_changes:
        _keep(folder / DATA, step)
    files.write_text(folder / LOCK, lock_text(plan))  # first: it makes the folder one of a run
    write_sealed(folder / ENVIRONMENT, attrs.asdict(environment))
    write_provenance(folder, provenance)


def begin_folder(folder: Path, named: bool) -> Path:
    """Create a run folder. A default name that is taken gets a number."""
    try:
        if not named:
            root = folder
            for number in range(2, 10_000):
                try:
                    folder.mkdir(parents=True)
                    break
                except FileExistsError:  # another run started at the same time
                    folder = root.with_name(f"{root.name}-{number}")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise fail("E111", f"`{folder}` can't be written: {system_reason(error)}") from None
    return folder


def _keep(path: Path, step: int) -> None:
    """Rename a file that is about to be replaced, unless the new name is taken."""
    kept = path.with_name(f"{path.stem}-until-{step:09d}{path.suffix}")
    with contextlib.suppress(OSError):
        if not os.path.lexists(kept):
            os.replace(path, kept)


def clean_results(folder: Path, weights: bool) -> None:
    """Remove the results in the folder of a resumed run, such as those of an early end. It writes new ones at its end.

    Call it before `begin` records changed images: a later process would not notice the change, and would adopt weights
    that were the best on the earlier images. ``weights`` removes the weights too.
    """
    try:
        for name in ("summary.json", EVALUATION, CURVES, *([NAME] if weights else [])):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise fail("E111", f"`{folder}` can't be written: {system_reason(error)}") from None


def clean_metrics(folder: Path, epoch: float, evaluated: bool) -> None:
    """Remove the lines of metrics that a resumed run writes again: those after ``epoch``, and those of a test.

    Also removes the lines of an evaluation within an epoch, at an early end, which an uninterrupted run doesn't have.
    """
    kept = []
    for line in measured(folder):
        if line["kind"] == "evaluation" and line["epoch"] == epoch and not evaluated:
            continue
        if "evaluation" in (line["kind"], line.get("part")) and line["epoch"] % 1:
            continue
        if "test" in (line["kind"], line.get("part")):
            continue
        if line["epoch"] <= epoch:
            kept.append(f"{json.dumps(line)}\n")
    files.write_text(folder / "metrics.jsonl", "".join(kept))
