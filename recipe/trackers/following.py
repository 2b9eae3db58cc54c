"""Log a run from its folder, and follow it as long as it trains."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs.validators import ge, instance_of

from recipe.base import files
from recipe.base.errors import RecipeError, fail
from recipe.base.identity import digest
from recipe.base.typed_json import Malformed, read_json
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


SPEED = "images_per_second"

Line = dict[str, Any]


@attrs.frozen
class Place:
    """How far a run has been logged to a tracker: the contents of `.log-TRACKER.json` in its folder."""

    id: str = attrs.field(factory=lambda: uuid.uuid4().hex, validator=instance_of(str))
    steps: dict[str, int] = attrs.field(factory=dict)
    """The last step that was logged, by the kind of line."""
    first: str = ""
    """A digest of the first training line, with its speed, so that a run of the same recipe has another one."""
    last: str = ""
    """A digest of the last training line that was logged, without its speed, which a resumed run doesn't repeat."""
    schema_version: int = attrs.field(default=1, validator=ge(1))

    def after(self, lines: Sequence[Line]) -> Place:
        """Return the place after some more lines."""
        place = attrs.evolve(self, steps=self.steps | {line["kind"]: line["step"] for line in lines})
        if trained := [line for line in lines if line["kind"] == "train"]:
            place = attrs.evolve(place, first=self.first or _digest(trained[0]), last=_digest(trained[-1], SPEED))
        return place

    def is_in(self, lines: Sequence[Line], finished: bool) -> bool | None:
        """Whether it is a place in these lines of a run, the first ones, or None if more of them are needed to know.

        A run that resumes from an earlier step repeats the lines up to the place. A run of another recipe doesn't.
        """
        if not self.first:
            return True
        trained = [line for line in lines if line["kind"] == "train"]
        if trained and _digest(trained[0]) != self.first:
            return False
        reached = [line for line in trained if line["step"] >= self.steps.get("train", -1)]
        return _digest(reached[0], SPEED) == self.last if reached else (False if finished else None)


def _digest(line: Line, without: str = "") -> str:
    content = {name: value for name, value in line.items() if name != without}
    return digest(json.dumps(content, sort_keys=True).encode())


def follow(
    folder: Path, tracker: Tracker, settings: Mapping[str, str | None], tell: Callable[[str], object] | None = None
) -> int:
    """Log a run to a tracker until it ends, or as it is if it isn't training. Return the number of lines.

    A line that was logged before a signal or a crash, but not yet noted, is logged once more, with the same values.
    If the run no longer has the lines that were logged, all of its lines are logged as a new run of the tracker, and
    ``tell`` gets a note.

    Raises `RecipeError`: E120 if the folder has no run, E130 if the tracker fails.
    """
    lock = open_lock(folder)
    path = folder / f".log-{tracker.name.lower()}.json"
    place = _read(path)
    tail, logged = Tail(folder), 0
    writer: Writer | None = None
    lines, known = list[Line](), tracker.rewrites  # the lines since the place, once it is known to be in the run

    def opened() -> Writer:
        return _opened(tracker, TrackedRun(folder, folder.resolve().name, place.id, lock.source.text, settings))

    if tracker.rewrites:
        place = Place(place.id)
    while True:
        training = bool(user_of(folder))  # before the lines, so that none of the last ones are missed
        if tail.replaced():
            lines, known = [], tracker.rewrites
            if tracker.rewrites:
                writer, place = opened(), Place(place.id)
        lines += tail.fresh()
        if not known:
            found = place.is_in(lines, finished=not training and bool(summary_of(folder)))
            known = found is not None
            if found is False:
                if writer is not None:
                    _finish(tracker, writer, {"status": "stopped"})
                writer, place = None, Place()
                if tell:
                    tell(f"the run no longer has the lines that were logged to {tracker.name}: logged as a new run")
        if known:
            lines = [line for line in lines if line["step"] > place.steps.get(line["kind"], -1)]
            if lines:
                writer = writer or opened()
                _write(tracker, writer, lines)
                place, logged = place.after(lines), logged + len(lines)
                files.write_json(path, attrs.asdict(place))
            lines = []
        if not training:
            break
        time.sleep(PAUSE)
    if known:
        files.write_json(path, attrs.asdict(place))
        _finish(tracker, writer or opened(), _results(folder))
    return logged


def _read(path: Path) -> Place:
    """Return how far the run has been logged. A damaged or missing file means: not at all."""
    try:
        return read_json(path, Place)
    except (OSError, Malformed):
        return Place()


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
