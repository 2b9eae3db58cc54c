"""Log a run from its folder, and follow it as long as it trains."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs.validators import ge, instance_of

from recipe.base import files
from recipe.base.errors import RecipeError, fail
from recipe.base.typed_json import Malformed, fitted, parsed
from recipe.base.wording import first_line
from recipe.runs.exclusive import user_of
from recipe.runs.reader import summary_of
from recipe.runs.recipe_lock import open_lock
from recipe.trackers.tail import Tail
from recipe.trackers.tracker import TrackedRun, Tracker, Writer

PAUSE = 1.0
"""Seconds between two looks at a run that is training."""

NOT_VALUES = ("step", "epoch", "image")
"""The numbers of a line of metrics that are not values of its kind."""


@attrs.frozen
class Place:
    """How far a run has been logged to a tracker: the contents of `.log-TRACKER.json` in its folder."""

    id: str = attrs.field(validator=instance_of(str))
    steps: dict[str, int] = attrs.field(factory=dict)
    """The last step that was logged, by the kind of line."""
    schema_version: int = attrs.field(default=1, validator=ge(1))


def follow(folder: Path, tracker: Tracker, settings: Mapping[str, str | None]) -> int:
    """Log a run to a tracker until it ends, or as it is if it isn't training. Return the number of lines.

    A line that was logged before a signal or a crash, but not yet noted, is logged once more, with the same values.

    Raises `RecipeError`: E120 if the folder has no run, E130 if the tracker fails.
    """
    lock = open_lock(folder)
    path = folder / f".log-{tracker.name.lower()}.json"
    place = _read(path)
    run = TrackedRun(folder, folder.resolve().name, place.id, lock.source.text, settings)
    tail, logged = Tail(folder), 0
    writer = _opened(tracker, run)
    steps = {} if tracker.rewrites else place.steps
    while True:
        training = bool(user_of(folder))  # before the lines, so that none of the last ones are missed
        if tail.replaced() and tracker.rewrites:
            writer, steps = _opened(tracker, run), {}
        if lines := [line for line in tail.fresh() if line["step"] > steps.get(line["kind"], -1)]:
            _write(tracker, writer, lines)
            steps |= {line["kind"]: line["step"] for line in lines}
            logged += len(lines)
            files.write_json(path, attrs.asdict(attrs.evolve(place, steps=steps)))
        if not training:
            break
        time.sleep(PAUSE)
    files.write_json(path, attrs.asdict(attrs.evolve(place, steps=steps)))
    _finish(tracker, writer, _results(folder))
    return logged


def _read(path: Path) -> Place:
    """Return how far the run has been logged. A damaged or missing file means: not at all."""
    try:
        return fitted(parsed(files.read(path)), Place)
    except (OSError, Malformed):
        return Place(uuid.uuid4().hex)


def _opened(tracker: Tracker, run: TrackedRun) -> Writer:
    try:
        return tracker.open(run)
    except Exception as error:
        raise _failed(tracker, error) from error


def _write(tracker: Tracker, writer: Writer, lines: list[dict[str, Any]]) -> None:
    try:
        for line in lines:
            own = {name: value for name, value in line.items() if name not in NOT_VALUES}
            own |= own.pop("metrics", {})
            values = _numbers(own, f"{line['kind']}/")
            writer.log(line["step"], {"epoch": line["epoch"], **values})
        writer.flush()
    except Exception as error:
        raise _failed(tracker, error) from error


def _finish(tracker: Tracker, writer: Writer, results: dict[str, float | str]) -> None:
    try:
        writer.finish(results)
    except Exception as error:
        raise _failed(tracker, error) from error


def _failed(tracker: Tracker, error: Exception) -> RecipeError:
    help = f"log the run again with `recipe log RUN --to {tracker.name.lower()}`; the training is not affected"
    return fail("E130", f"{tracker.name} failed: {first_line(error)}", help=help)


def _results(folder: Path) -> dict[str, float | str]:
    summary = summary_of(folder)
    if not summary:
        return {"status": "stopped"}
    own = {name: value for name, value in summary.items() if name != "schema_version"}
    return {"status": summary["status"], **_numbers(own)}


def _numbers(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the numbers among some values, and those of the objects in it with the object's name first."""
    numbers = dict[str, float]()
    for name, value in values.items():
        if isinstance(value, Mapping):
            numbers |= _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            numbers[f"{prefix}{name}"] = float(value)
    return numbers
