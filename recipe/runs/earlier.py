"""Earlier runs of the recipe that is about to be trained in a new folder."""

from __future__ import annotations

from pathlib import Path

from recipe.base.caller import opening, resuming
from recipe.language.recipe_input import LOCK
from recipe.plan.plan import Plan
from recipe.runs.exclusive import user_of
from recipe.runs.layout import digest_of, is_untouched
from recipe.runs.reader import summary_of


def note_on_earlier(runs: Path, plan: Plan) -> str:
    """Return a note on an earlier run of a plan in a folder of runs, or an empty string if there is none.

    Of several, it is the last one with results, or else the last one that was started.
    """
    found = [folder for folder in runs.glob("*/") if _is_of(folder, plan)]
    if not found:
        return ""
    last = max(found, key=lambda folder: (bool(summary_of(folder)), (folder / LOCK).stat().st_mtime))
    status = summary_of(last).get("status")
    if user_of(last):
        state = "is still training"
    elif status is None:
        state = f"was stopped: resume it with `{resuming(last)}`"
    else:
        state = f"has {status}: {opening(last)}"
    return f"the run in `{last}` has the same recipe and {state}"


def _is_of(folder: Path, plan: Plan) -> bool:
    return digest_of(folder, plan) == plan.digest and not is_untouched(folder)
