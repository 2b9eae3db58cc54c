"""`recipe.lock`: the recipe of a run with every value explicit, digests of its plan and teachers, and its plugins."""

from __future__ import annotations

import os
import re
from pathlib import Path

import attrs

from recipe.base.errors import RecipeError, fail
from recipe.base.source import MAX_BYTES, Source
from recipe.base.wording import near_file
from recipe.language.ast import quoted, unquoted
from recipe.language.lock_header import read_header, with_header
from recipe.language.parser import parse
from recipe.language.recipe_input import LOCK, read
from recipe.plan.bind import bind
from recipe.plan.changes import SIGNS, compare_words
from recipe.plan.plan import Plan
from recipe.plugins.declared import OWN
from recipe.plugins.kinds import RecipeFile
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.provenance import read_provenance

TEACHER = re.compile(r'# teacher ([0-9a-f]{16}) (".*")')


@attrs.frozen
class Lock:
    """A run's `recipe.lock`."""

    source: Source
    """Its text."""
    digest: str
    """The digest of the run's plan, as stated there."""
    old: bool
    """Whether an earlier release wrote it, whose digests can't be compared with those of this one."""
    edited: bool
    """Whether its text has been changed since it was written. Unknown, and so false, for an old lock."""
    teachers: dict[Path, str]
    """The digests of the teachers' plans, by path. Empty for an old lock."""

    def plan(self, vocabulary: Vocabulary) -> Plan:
        """Return the plan without reading the recipes of its teachers. Raises `RecipeError`."""
        return bind([self.source], vocabulary, data=True, teachers=self.teachers)

    def digest_now(self, vocabulary: Vocabulary) -> str | None:
        """Return the digest of its plan as this release computes it, or None if it binds to no plan."""
        if not self.old:
            return self.digest
        try:
            return bind([self.source], vocabulary, data=True).digest
        except RecipeError:
            return None


def read_lock(folder: Path) -> Lock | None:
    """Return a folder's lock, or None if there is none, it can't be read, or it states no digest."""
    try:
        source = read(folder / LOCK)
    except RecipeError:
        return None
    header = read_header(source.text)
    if header is None:
        return None
    lines = filter(None, map(TEACHER.fullmatch, header.body.split("\n")))
    teachers = {Path(unquoted(line[2])): line[1] for line in lines}
    return Lock(source, header.digest, header.old, header.edited, teachers)


def plan_of(source: Source, vocabulary: Vocabulary) -> Plan | None:
    """Return the plan of a run whose lock a source is, with the teachers that it states, or None for other sources.

    Raises `RecipeError`, also (E120) if what the run recorded of its data is damaged.
    """
    lock = _lock_of(source)
    if lock is None or lock.old:
        return None
    return as_recorded(attrs.evolve(lock, source=source).plan(vocabulary), source)


def as_recorded(plan: Plan, source: Source) -> Plan:
    """Return a plan with the numbers of classes and images of its run if its source is the lock of one.

    A run is described by what it was trained on, whatever its data is today. Raises `RecipeError` (E120).
    """
    lock = _lock_of(source)
    if source.path is None or lock is None or lock.edited:
        return plan
    provenance = read_provenance(source.path.parent)
    if provenance is None:
        return plan
    counted = {"count_classes": provenance.classes.count, "count_images": provenance.data.training.images}
    return attrs.evolve(plan, counted=counted)


def _lock_of(source: Source) -> Lock | None:
    """Return the lock of a run if a source is one."""
    return read_lock(source.path.parent) if source.path is not None and source.path.name == LOCK else None


def open_lock(folder: Path) -> Lock:
    """Return the lock of a run to open. Raises `RecipeError` (E120) if it is missing, unreadable or edited."""
    where = "name the folder that `recipe run` printed"
    if not os.path.exists(folder):
        raise fail("E120", f"the folder `{folder}` does not exist", help=near_file(folder) or where)
    if not os.path.isfile(folder / LOCK):
        raise fail("E120", f"`{folder}` is not a run folder: it has no {LOCK}", help=where)
    lock = read_lock(folder)
    if lock is None:
        read(folder / LOCK)  # reports why it can't be read
        help = "restore recipe.lock, which starts with the digest of the plan"
        raise fail("E120", f"`{folder / LOCK}` is not the lock of a run", help=help)
    if lock.edited:
        help = "restore it; to train a changed recipe, copy it to another file"
        raise fail("E120", f"`{folder / LOCK}` has been edited since the run started", help=help)
    return lock


def changed_words(folder: Path, plan: Plan) -> str:
    """List how a plan differs from the one in a folder's `recipe.lock`, to follow a clause on the same line.

    Empty if the lock can't be read.
    """
    try:
        before = lock.plan(plan.vocabulary) if (lock := read_lock(folder)) else plan
    except RecipeError:
        return ""
    lines = [(SIGNS[word.change], *line) for word in compare_words(before, plan) for line in word.lines()]
    said = "; ".join(f"{sign} {change}{f' ({origin})' if origin else ''}" for sign, change, origin in lines)
    return f": {said}" if said else ""


def changed_teachers(lock: Lock, plan: Plan) -> list[Path]:
    """Return the recipes of teachers in a plan whose meaning has changed since a lock stated it."""
    teachers = {Path(teacher.path): teacher.digest for teacher in _teachers(plan)}
    return [path for path, stated in lock.teachers.items() if teachers.get(path, stated) != stated]


def check_lock(plan: Plan) -> None:
    """Raise `RecipeError` (E005 or E011) if the lock of a plan would be beyond the limits of a recipe."""
    text = lock_text(plan)
    if len(text.encode()) > MAX_BYTES:
        message = f"with every value stated, the recipe is larger than {MAX_BYTES // 1024} KiB, the limit for a recipe"
        raise fail("E005", message, help="state fewer or shorter values")
    _, errors = parse(Source(LOCK, text, Path.cwd()))
    if errors:
        raise RecipeError(*errors)


def lock_text(plan: Plan) -> str:
    """Return the text of `recipe.lock`: a recipe with every value explicit that binds to the same plan."""
    teachers = (f"# teacher {teacher.digest} {quoted(teacher.path)}\n" for teacher in _teachers(plan))
    theirs = (use for use in plan.uses if use.declared.package != OWN)
    plugins = (f"# plugin {quoted(use.declared.package)} {use.word}\n" for use in theirs)
    body = "".join([*teachers, *plugins, plan.canonical()])
    return with_header(plan.digest, body)


def _teachers(plan: Plan) -> list[RecipeFile]:
    values = (value for use in plan.uses for value in use.values.values())
    return [value for value in values if isinstance(value, RecipeFile)]
