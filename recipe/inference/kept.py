"""The weights of a run: those that it kept or, if it was stopped, those of its last checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recipe.base.caller import resuming
from recipe.base.errors import RecipeError, fail
from recipe.base.typed_json import Malformed
from recipe.base.wording import reason_of
from recipe.runs import checkpoints
from recipe.runs.reader import read_summary
from recipe.runs.state import TrainingState
from recipe.runs.weights import NAME, packed_weights, unpacked


def run_summary(folder: Path) -> dict[str, Any]:
    """Return the summary of a run, empty for one that has none. Raises `RecipeError` (E120) if it is damaged."""
    try:
        return read_summary(folder)
    except FileNotFoundError:
        return {}
    except (OSError, Malformed) as error:
        help = f"restore it from a copy, or make it again with `{resuming(folder)}`"
        raise fail("E120", f"`{folder / 'summary.json'}` can't be read: {reason_of(error)}", help=help) from None


def last_checkpoint(folder: Path) -> tuple[TrainingState, list[Path]]:
    """Return the state of a stopped run, and the later checkpoints that can't be read.

    Raises `RecipeError` (E120) if none can be read.
    """
    packed, unsound = checkpoints.read(folder / "checkpoints", set_aside=False)
    if packed is None:
        why = "none of its checkpoints can be read" if unsound else "it has no checkpoint"
        help = f"train it from the start with `{resuming(folder)}`"
        raise fail(
            "E120", f"the run in `{folder}` has not finished: it has no complete summary.json, and {why}", help=help
        )
    return checkpoints.unpack(packed, torch.device("cpu")), unsound


def kept_weights(folder: Path) -> dict[str, Tensor]:
    """Return the weights of a finished run. Raises `RecipeError` (E120) if they are missing or damaged."""
    try:
        return unpacked(packed_weights(folder))
    except (OSError, Malformed) as error:
        raise unreadable(folder / NAME, reason_of(error)) from error


def unreadable(path: Path, why: str) -> RecipeError:
    """Return the error (E120) for weights of a run that can't be used."""
    return fail("E120", f"`{path}` can't be read: {why}", help="train it again, or restore the file from a copy")
