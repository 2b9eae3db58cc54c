"""Failure reports: a failed command writes its errors to a file that its parent process names."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import attrs

from recipe.base import files
from recipe.base.errors import RecipeError
from recipe.base.rendering import SCHEMA_VERSION, as_data
from recipe.base.typed_json import Malformed, read_json
from recipe.base.wording import first_line

VARIABLE = "RECIPE_FAILURE"  # environment variable with the path of the file


@attrs.frozen
class Failure:
    """Why a command failed: the codes of its errors and the message of the last one."""

    codes: tuple[str, ...]
    message: str


def leave(error: BaseException) -> None:
    """Write the error that ended this command to the file that `VARIABLE` names, if it is set."""
    if path := os.environ.get(VARIABLE):
        with contextlib.suppress(RecipeError):  # the disk may be full; the exit code still reports the failure
            write(Path(path), error)


def write(path: Path, error: BaseException) -> None:
    """Write an error as JSON: its diagnostics if it is a `RecipeError`, otherwise an internal error."""
    diagnostics = error.diagnostics if isinstance(error, RecipeError) else ()
    data = {
        "schema_version": SCHEMA_VERSION,
        "diagnostics": [*map(as_data, diagnostics)],
        "internal_error": None if isinstance(error, RecipeError) else first_line(error),
    }
    files.write_output(path, json.dumps(data, indent=2) + "\n")


@attrs.frozen
class _Told:
    severity: str
    code: str
    message: str


@attrs.frozen
class _Report:
    diagnostics: tuple[_Told, ...]
    internal_error: str | None


def left_in(path: Path) -> Failure | None:
    """Return the failure that a command wrote to a file, or None if there is no readable one."""
    try:
        report = read_json(path, _Report)
    except (OSError, Malformed):
        return None
    errors = [told for told in report.diagnostics if told.severity == "error"]
    messages = [report.internal_error, *(error.message for error in reversed(errors))]
    message = next(filter(None, messages), None)
    return Failure(tuple(error.code for error in errors), message) if message else None
