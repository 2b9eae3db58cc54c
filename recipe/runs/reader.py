"""Read the contents of a run folder. Damaged parts count as missing, and the functions `read_…` say what is wrong."""

from __future__ import annotations

import contextlib
import os
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs

from recipe.base import files
from recipe.base.sealed import opened_seal
from recipe.base.typed_json import MOST, Malformed, fitted, parsed
from recipe.runs.records import LINES, Environment, Summary

LONGEST = 1 << 16
"""The longest line of `metrics.jsonl`, in bytes."""


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the contents of a run's `summary.json`. Raises `OSError` or `Malformed` if it can't be used."""
    content = opened_seal(parsed(files.read(folder / "summary.json", MOST)))
    fitted(content, Summary)
    return content


def summary_of(folder: Path) -> dict[str, Any]:
    """Return a run's summary, empty if the run is unfinished or the summary damaged. Resuming repairs a summary."""
    try:
        return read_summary(folder)
    except (OSError, Malformed):
        return {}


@attrs.frozen
class Metrics:
    """The lines of `metrics.jsonl`, and the number of those that can't be read."""

    lines: list[dict[str, Any]]
    damaged: int = 0


def read_metrics(folder: Path, last: int | None = None) -> Metrics:
    """Return a run's metrics, or those in the ``last`` bytes of the file. A last line without an end is left out."""
    lines, damaged = [], 0
    with contextlib.suppress(OSError), files.opened(folder / "metrics.jsonl") as file:
        if last is not None:
            file.seek(max(0, file.seek(0, os.SEEK_END) - last))
            if file.tell():
                file.readline(LONGEST)  # its beginning is missing
        ends = True
        while text := file.readline(LONGEST):
            begins, ends = ends, text.endswith(b"\n")
            if begins and ends:
                line = line_of(text)
                lines += [] if line is None else [line]
                damaged += line is None
            elif begins and len(text) == LONGEST:  # a shorter one was being written when its process was killed
                damaged += 1
    return Metrics(lines, damaged)


def line_of(text: bytes) -> dict[str, Any] | None:
    """Return a line of metrics, or None if it can't be read."""
    try:
        line = parsed(text)
        kind = LINES.get(str(line.get("kind"))) if isinstance(line, dict) else None
        if kind is None:
            return None
        fitted(line, kind)
    except Malformed:
        return None
    return line  # type: ignore[no-any-return]


def measured(folder: Path, last: int | None = None) -> list[dict[str, Any]]:
    """Return the lines of a run's `metrics.jsonl`, or those in its ``last`` bytes. Damaged lines are left out."""
    return read_metrics(folder, last).lines


def environment_of(folder: Path) -> Environment | None:
    """Return the contents of a run's `environment.json`, or None if it is missing or damaged."""
    try:
        return fitted(opened_seal(parsed(files.read(folder / "environment.json", MOST))), Environment)
    except (OSError, Malformed):
        return None


def lost_packages(folder: Path) -> list[str]:
    """Return the packages listed in a run's `environment.json`, as those that it used, that are no longer installed."""
    known = environment_of(folder)
    packages = known.packages if known else {}
    return [f"{name} {version}" for name, version in packages.items() if not _is_installed(name)]


def _is_installed(package: str) -> bool:
    try:
        return any(metadata.distributions(name=package))
    except ValueError:  # an empty name
        return False
