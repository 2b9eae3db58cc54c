"""The location and the layout of a run folder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from recipe.base import files
from recipe.base.caller import another_folder, is_command, opening, option
from recipe.base.errors import RecipeError, fail
from recipe.base.wording import system_reason
from recipe.language.recipe_input import LOCK
from recipe.plan.plan import Plan
from recipe.runs import checkpoints, requests
from recipe.runs.reader import summary_of
from recipe.runs.recipe_lock import changed_words, read_lock
from recipe.runs.records import ENDED_EARLY, FINISHED

RUNS = Path("runs")


OWN_FILES = (
    *("recipe.lock", "summary.json", "metrics.jsonl", "environment.json", "model.safetensors", "checkpoints"),
    *("classes.json", "preprocessing.json", "data.json", "curves.png", "evaluation.npz", requests.NAME),
)
"""The files of a run, and the folder of its checkpoints."""


def choose_folder(out: str | Path | None, name: str, plan: Plan, resume: bool, allow_changed: bool = False) -> Path:
    """Return the folder for a new run, or the folder of the run to resume.

    A run is never overwritten. Without ``resume``, the default name gets a number if it is taken, and a folder named
    by the user is refused (E113) if it contains a run that has begun to train. With ``resume``, a folder with a run of
    another recipe is refused unless ``allow_changed``. A folder that contains other files and no run is always refused.
    """
    if out is not None:
        if not str(out).strip():
            raise fail("E113", "the run folder has no name", help=f"set one with {option('--out')}")
        return _named(Path(out), plan, resume, allow_changed)
    if Path(name).name != name:
        help = f"set the folder with {option('--out')}"
        raise fail("E113", f"`{name}` is not the first part of a folder's name", help=help)
    return default_folder(RUNS, name, plan, resume)


def default_folder(runs: Path, name: str, plan: Plan, resume: bool) -> Path:
    """Return the default folder in ``runs`` for a new run of a plan or, with ``resume``, that of the last such run."""
    first = runs / f"{name}-{plan.digest[:8]}"
    numbered = {first: 1}
    with contextlib.suppress(OSError):  # there are no runs yet
        for folder in first.parent.iterdir():
            if folder.name.startswith(f"{first.name}-") and (number := folder.name[len(first.name) + 1 :]).isdecimal():
                numbered[folder] = int(number)
    if resume:
        begun = [
            folder for folder in sorted(numbered, key=numbered.__getitem__) if digest_of(folder, plan) == plan.digest
        ]
        if begun:
            return begun[-1]
    return first if not os.path.lexists(first) else first.with_name(f"{first.name}-{max(numbered.values()) + 1}")


def _named(folder: Path, plan: Plan, resume: bool, allow_changed: bool) -> Path:
    """Return the folder that the user named, if a run can start or resume there."""
    if len(os.fsencode(folder.name)) > 255:
        message = "the name of the run folder is longer than file systems allow"
        raise fail("E113", message, help=another_folder())
    begun, saved = (folder / LOCK).exists(), (folder / "checkpoints").exists()
    if not (begun or saved):
        check_others(folder)
    elif not resume and not is_untouched(folder):  # a checkpoint names its own recipe
        raise _taken(folder, plan)
    if begun and digest_of(folder, plan) != plan.digest and not (allow_changed or is_untouched(folder)):
        help = f"{another_folder()}, or resume anyway with {option('--allow-changed')}"
        raise fail("E113", f"`{folder}` contains a run of another recipe{changed_words(folder, plan)}", help=help)
    return folder


def check_others(folder: Path, own: tuple[str, ...] = ()) -> None:
    """Raise `RecipeError` (E113) if a folder contains anything but hidden files and names with the prefixes ``own``."""
    try:
        others = [path.name for path in folder.iterdir() if not path.name.startswith((*own, "."))]
    except (FileNotFoundError, NotADirectoryError):  # creating the folder reports the latter
        return
    except OSError as error:
        raise fail("E111", f"`{folder}` can't be read: {system_reason(error)}") from None
    if others:
        message = f"`{folder}` already contains other files, such as `{sorted(others)[0]}`"
        raise fail("E113", message, help=another_folder())


def _taken(folder: Path, plan: Plan) -> RecipeError:
    """Return the error for a folder with a run, which a new run can't replace."""
    status, resume = summary_of(folder).get("status"), f"resume it with {option('--resume')}"
    what, help = {
        FINISHED: ("a finished run", opening(folder)),
        ENDED_EARLY: ("a run that ended early", f"{opening(folder)}, {resume}"),
    }.get(str(status), ("a run", resume))
    if status == FINISHED and digest_of(folder, plan) not in (None, plan.digest):
        what += " of another recipe"
    elif status == FINISHED:
        help += f", add {option('--resume')} {'to keep it' if is_command() else 'to get it from this call'}"
    return fail("E113", f"`{folder}` already contains {what}", help=f"{help}, or {another_folder()}")


def clear(folder: Path) -> None:
    """Remove a run from its folder, so that another run of the same recipe can start there.

    Its `recipe.lock` is kept, if it can be read, because it shows that the folder is that of a run. Links, and files
    that are not those of a run, are left alone.
    """
    checkpoints.clear(folder / "checkpoints")
    kept = {LOCK} if read_lock(folder) is not None else set[str]()
    for own in (*(folder / own for own in OWN_FILES if own not in kept), *folder.glob(".log-*")):
        files.remove(own)


def is_untouched(folder: Path) -> bool:
    """Whether a folder's run ended before its first step, so that nothing of it is worth keeping."""
    made = [folder / "summary.json", folder / "model.safetensors", *(folder / "checkpoints").glob("*")]
    metrics = folder / "metrics.jsonl"
    trained = any(map(os.path.lexists, made)) or (os.path.lexists(metrics) and metrics.lstat().st_size > 0)
    return read_lock(folder) is not None and not trained


def digest_of(folder: Path, plan: Plan) -> str | None:
    """Return the digest of the plan of the run in a folder, comparable with ``plan.digest``, or None if unknown."""
    lock = read_lock(folder)
    return lock.digest_now(plan.vocabulary) if lock else None


def is_finished(folder: Path, plan: Plan) -> bool:
    """Whether a folder has the summary and the weights of a plan that was trained to its end."""
    lock, summary = read_lock(folder), summary_of(folder)
    if summary.get("status") != FINISHED:
        return False
    summarized = summary.get("digest")
    stated = summarized if lock is None else lock.digest
    same = (summarized if lock is None else lock.digest_now(plan.vocabulary)) == plan.digest
    return summarized == stated and same and (folder / "model.safetensors").is_file()


def finished_run(near: Path, plan: Plan) -> Path | None:
    """Return the folder of a finished run of a plan, from a folder of runs."""
    return next((folder for folder in sorted(near.glob("*/")) if is_finished(folder, plan)), None)
