"""Whether a checkpoint belongs to a run, and the command that resumes a run after a signal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from recipe.base.errors import RecipeError, fail
from recipe.plugins.fingerprint import code_of_plugins, plugin_files
from recipe.plugins.uses import Use
from recipe.runs.save_policy import SavePolicy
from recipe.runs.state import TrainingState


def other_run(folder: Path, reason: str = "") -> RecipeError:
    """Return the error for a folder with a run of another recipe."""
    message = f"`{folder}` contains a run of another recipe or model{reason}"
    return fail("E113", message, help="choose another folder with --out")


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
        raise fail("E113", message, help="resume anyway with --allow-changed, or choose another folder with --out")
    if changed and not allow_changed:
        raise other_run(folder)
    return [f"the code of {', '.join(edited)} has changed since the run was started"] if edited else []


def resume_options(
    uses: Iterable[Use], policy: SavePolicy, *, device: str | None, strict: bool, processes: int
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
    default = SavePolicy()
    if policy.schedule != default.schedule:
        options += ["--save-every", policy.schedule]
    if policy.keep != default.keep:
        options += ["--keep", str(policy.keep)]
    return tuple(options)
