"""The location and the layout of a run folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from recipe.base import files
from recipe.base.errors import fail
from recipe.base.wording import system_reason
from recipe.plan.plan import Plan
from recipe.runs.reader import measured
from recipe.runs.recipe_lock import changed_words, locked

RUNS = Path("runs")


OWN_FILES = ("recipe.lock", "summary.json", "metrics.jsonl", "environment.json", "model.safetensors", "checkpoints")


def choose_folder(out: str | Path | None, name: str, plan: Plan, resume: bool, allow_changed: bool = False) -> Path:
    """Return the folder for a new run, or the folder of the run to resume.

    A run is never overwritten. Without ``resume``, the default name gets a number if it is taken, and a folder named
    by the user is refused (E113) if it contains a file of a run. With ``resume``, a folder with a run of another
    recipe is refused unless ``allow_changed``.
    """
    digest = plan.digest
    if out is not None:
        folder = Path(out)
        if len(os.fsencode(folder.name)) > 255:
            raise fail(
                "E113",
                "the name of the run folder is longer than file systems allow",
                help="choose another folder with --out",
            )
        if not str(out).strip():
            raise fail("E113", "the run folder has no name", help="set one with --out")
        begun, saved = (folder / "recipe.lock").exists(), (folder / "checkpoints").exists()
        taken = [own for own in OWN_FILES if (folder / own).exists()]
        if taken and not (resume and (begun or saved)):  # a checkpoint names its own recipe
            what = "a run" if begun or saved else f"a file `{taken[0]}`"
            help = f"{'resume it with --resume, or ' if begun or saved else ''}choose another folder with --out"
            raise fail("E113", f"`{folder}` already contains {what}", help=help)
        if begun and locked(folder) != digest and not allow_changed:
            help = "choose another folder with --out, or resume anyway with --allow-changed"
            raise fail("E113", f"`{folder}` contains a run of another recipe{changed_words(folder, plan)}", help=help)
        return folder
    first = RUNS / f"{name}-{digest[:8]}"
    candidates = [first, *(first.with_name(f"{first.name}-{number}") for number in range(2, 10_000))]
    if resume:
        runs = [folder for folder in candidates if locked(folder) == digest]
        return runs[-1] if runs else next(folder for folder in candidates if not folder.exists())
    return next(folder for folder in candidates if not folder.exists())


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


def clean_folder(folder: Path, epoch: float, evaluated: bool) -> None:
    """Remove what a resumed run produces again: its summary, and the lines of metrics after ``epoch``."""
    try:
        (folder / "summary.json").unlink(missing_ok=True)
    except OSError as error:
        raise fail("E111", f"`{folder}` can't be written: {system_reason(error)}") from None
    kept = []
    for line in measured(folder):
        if line["epoch"] < epoch or (line["epoch"] == epoch and (evaluated or line["kind"] != "evaluation")):
            kept.append(f"{json.dumps(line)}\n")
    files.write_text(folder / "metrics.jsonl", "".join(kept))
