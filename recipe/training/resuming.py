"""The command that resumes a run after a signal, with the options that the run was started with."""

from __future__ import annotations

from collections.abc import Iterable

from recipe.plugins.fingerprint import plugin_files
from recipe.plugins.uses import Use
from recipe.runs.save_policy import SavePolicy


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
