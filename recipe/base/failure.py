"""Failure reports: a failed command writes its errors to a file that its parent process names."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import attrs

from recipe.base import files
from recipe.base.errors import RecipeError
from recipe.base.rendering import SCHEMA_VERSION, as_data
from recipe.base.wording import first_line

VARIABLE = "RECIPE_FAILURE"  # environment variable with the path of the file


@attrs.frozen
class Failure:
    """Why a command failed: the codes of its errors and the message of the last one."""

    codes: tuple[str, ...]
    message: str


def leave(error: Exception) -> None:
    """Write the error that ended this command to the file that `VARIABLE` names, if it is set."""
    if path := os.environ.get(VARIABLE):
        with contextlib.suppress(RecipeError):  # the disk may be full; the exit code still reports the failure
            write(Path(path), error)


def write(path: Path, error: Exception) -> None:
    """Write an error as JSON: its diagnostics if it is a `RecipeError`, otherwise an internal error."""
    diagnostics = error.diagnostics if isinstance(error, RecipeError) else ()
    data = {
        "schema_version": SCHEMA_VERSION,
        "diagnostics": [*map(as_data, diagnostics)],
        "internal_error": None if isinstance(error, RecipeError) else first_line(error),
    }
    files.write_json(path, data)


def left_in(path: Path) -> Failure | None:
    """Return the failure that a command wrote to a file, or None if there is no readable one."""
    try:
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
        errors = [diagnostic for diagnostic in data["diagnostics"] if diagnostic["severity"] == "error"]
        message = data["internal_error"] or errors[-1]["message"]
        return Failure(tuple(str(error["code"]) for error in errors), str(message))
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
