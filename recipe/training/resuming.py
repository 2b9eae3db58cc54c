"""Whether a run may resume from a checkpoint or restart without one, and the command that resumes it after a signal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from recipe.base.caller import another_folder, option
from recipe.base.errors import RecipeError, fail
from recipe.plan.plan import Plan
from recipe.plugins.fingerprint import code_of_plugins, plugin_files
from recipe.plugins.uses import Use
from recipe.runs.layout import digest_of, is_untouched
from recipe.runs.save_policy import SavePolicy
from recipe.runs.state import TrainingState
from recipe.runs.time_limit import TimeLimit
from recipe.runs.weights import NAME


def other_run(folder: Path, reason: str = "") -> RecipeError:
    """Return the error for a folder with a run of another recipe."""
    message = f"`{folder}` contains a run of another recipe or model{reason}"
    return fail("E113", message, help=another_folder())


def check_owner(
    state: TrainingState, identity: str, uses: Iterable[Use], folder: Path, allow_changed: bool
) -> list[str]:
    """Check that a checkpoint is of the run with this identity, and made by the same code of plugins.

    Returns a note on plugins whose code has changed. Raises `RecipeError` (E113) unless ``allow_changed``.
    """
    uses = tuple(uses)
    changed, now = state.digest != identity, code_of_plugins(uses)
    packages = {use.word: use.declared.package for use in uses}
    before = state.plugins
    edited = [f"`{word}` from {packages[word]}" for word, code in now.items() if before.get(word, code) != code]
    if edited and not (allow_changed or changed):
        message = f"the code of {', '.join(edited)} has changed since the run in `{folder}` was started"
        help = f"resume anyway with {option('--allow-changed')}, or {another_folder()}"
        raise fail("E113", message, help=help)
    if changed and not allow_changed:
        raise other_run(folder)
    return [f"the code of {', '.join(edited)} has changed since the run was started"] if edited else []


def check_restart(folder: Path, plan: Plan, data_changes: Sequence[str]) -> None:
    """Check that a run without a sound checkpoint may restart from scratch. Raises `RecipeError` (E113).

    A run of another recipe or on other data may not: it would end with another result, in place of the one that the
    folder may have. The same run would end with the same one.
    """
    stated, trained = digest_of(folder, plan), os.path.lexists(folder / NAME)
    changed = trained if stated is None else stated != plan.digest
    if is_untouched(folder) or not (changed or (data_changes and trained)):
        return
    message = f"the run in `{folder}` has no checkpoint to resume from, and restarting it with changes would replace it"
    weights = f"; a run there can start from the weights in `{folder / NAME}`" if trained else ""
    raise fail("E113", message, help=f"{another_folder()}{weights}")


def resume_options(
    uses: Iterable[Use],
    policy: SavePolicy,
    limit: TimeLimit | None = None,
    *,
    device: str | None,
    strict: bool,
    processes: int,
    trackers: Sequence[str] = (),
    test: bool = True,
) -> tuple[str, ...]:
    """Return the options of `recipe run` that have the effect of these values, without those that are the default."""
    options = list[str]()
    for file in plugin_files(uses):
        options += ["--plugin", file]
    if processes > 1:
        options += ["--nproc", str(processes)]
    if device is not None:
        options += ["--device", device]
    if strict:
        options += ["--strict"]
    if not test:
        options += ["--skip-test"]
    default = SavePolicy()
    if policy.schedule != default.schedule:
        options += ["--save-every", policy.schedule]
    if policy.checkpoints != default.checkpoints:
        options += ["--checkpoints", str(policy.checkpoints)]
    if limit is not None:
        options += ["--max-time", limit.text]
    for tracker in dict.fromkeys(trackers):
        options += ["--log", tracker]
    return tuple(options)
