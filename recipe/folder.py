"""A run's folder: where it is, what lies in it, and which finished run belongs to a plan."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from recipe import files
from recipe.bind import bind
from recipe.diagnostics import RecipeError, fail
from recipe.plan import Plan
from recipe.syntax import read

RUNS = Path("runs")


def summary_of(folder: Path) -> dict[str, Any]:
    """A run's summary; empty where it has not finished, or the summary is damaged, which a run that goes on mends."""
    try:
        found = json.loads((folder / "summary.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    numbers = ("epochs", "steps", "top1", "loss", "seconds", "training_images")
    whole = isinstance(found, dict) and all(
        isinstance(found.get(name), int | float) and math.isfinite(found[name]) for name in numbers
    )
    return found if whole and 0 <= found["top1"] <= 1 and "images_per_second" in found else {}


def measured(folder: Path, last: int | None = None) -> list[dict[str, Any]]:
    """The lines of a run's `metrics.jsonl`, or those in its last bytes; one that is damaged is passed over."""
    found = []
    with contextlib.suppress(OSError), (folder / "metrics.jsonl").open("rb") as file:
        if last is not None:
            file.seek(max(0, file.seek(0, os.SEEK_END) - last))
        for text in file.read().splitlines():
            with contextlib.suppress(ValueError):  # the first and the last one may be half there
                line = json.loads(text)
                if isinstance(line, dict) and "kind" in line and isinstance(line.get("epoch"), int | float):
                    found.append(line)
    return found


def lost_packages(folder: Path) -> list[str]:
    """The packages with a run's tricks, by its `environment.json`, that are not installed any more."""
    try:
        packages = json.loads((folder / "environment.json").read_text("utf-8"))["packages"]
        lost = [(name, version) for name, version in packages.items() if not any(metadata.distributions(name=name))]
        return [f"{name} {version}" for name, version in lost]
    except (OSError, ValueError, KeyError, AttributeError):
        return []


def finished_run(near: Path, digest: str) -> Path | None:
    """The folder of a finished run of a plan, of those in a folder of runs."""
    for folder in sorted(near.glob("*/")):
        if summary_of(folder).get("digest") == digest and (folder / "model.safetensors").is_file():
            return folder
    return None


OWN_FILES = ("recipe.lock", "summary.json", "metrics.jsonl", "environment.json", "model.safetensors", "checkpoints")


def choose_folder(out: str | Path | None, name: str, plan: Plan, resume: bool, allow_changed: bool = False) -> Path:
    """The folder of a new run, or of the run to go on with.

    What a folder holds is never written over: without ``resume``, a number is added to the default name, and a folder
    that was named is refused (E113) where a file of the run is there already; with it, where it is another recipe's,
    unless ``allow_changed``.
    """
    digest = plan.digest
    if out is not None:
        folder = Path(out)
        if len(os.fsencode(folder.name)) > 255:
            raise fail(
                "E113", "the name of the run's folder is longer than file systems allow", help="name another --out"
            )
        if not str(out).strip():
            raise fail("E113", "the run's folder has no name", help="name one with --out")
        begun, saved = (folder / "recipe.lock").exists(), (folder / "checkpoints").exists()
        taken = [own for own in OWN_FILES if (folder / own).exists()]
        if taken and not (resume and (begun or saved)):  # what a checkpoint is of, it says itself
            what = "a run" if begun or saved else f"a file `{taken[0]}`"
            help = "go on with it with --resume, or name another --out" if begun or saved else "name another --out"
            raise fail("E113", f"`{folder}` holds {what} already", help=help)
        if begun and locked(folder) != digest and not allow_changed:
            help = "name another --out, or go on all the same with --allow-changed"
            raise fail("E113", f"`{folder}` holds a run of another recipe{changed_words(folder, plan)}", help=help)
        return folder
    first = RUNS / f"{name}-{digest[:8]}"
    candidates = [first, *(first.with_name(f"{first.name}-{number}") for number in range(2, 10_000))]
    if resume:
        runs = [folder for folder in candidates if locked(folder) == digest]
        return runs[-1] if runs else next(folder for folder in candidates if not folder.exists())
    return next(folder for folder in candidates if not folder.exists())


def locked(folder: Path) -> str | None:
    """The digest of the plan that a folder's `recipe.lock` states."""
    try:
        first = (folder / "recipe.lock").read_text("utf-8").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError):
        return None
    return first.removeprefix("# plan ")


def changed_words(folder: Path, plan: Plan) -> str:
    """What a plan has other than the one that a folder was begun with, a line each; empty where that can't be read."""
    from recipe.compare.text import word_lines
    from recipe.compare.words import compare_words

    try:
        before = bind([read(folder / "recipe.lock")], plan.vocabulary, data=True)
    except RecipeError:
        return ""
    return "".join(f"\n  {line.plain}" for change in compare_words(before, plan) for line in word_lines(change))


def lock_text(plan: Plan) -> str:
    """The text of `recipe.lock`: a recipe with every value explicit, which binds to the same plan."""
    return f"# plan {plan.digest}\n{plan.canonical()}"


def begin_folder(folder: Path, named: bool) -> Path:
    """Make a run's folder; a default name that is taken gets a number."""
    try:
        if not named:
            root = folder
            for number in range(2, 10_000):
                try:
                    folder.mkdir(parents=True)
                    break
                except FileExistsError:  # another run began at the same time
                    folder = root.with_name(f"{root.name}-{number}")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise fail("E111", f"`{folder}` can't be written: {(error.strerror or str(error)).lower()}") from None
    return folder


def user_of(folder: Path) -> str:
    """Which process trains in a folder at this moment; empty where none does."""
    try:
        with (folder / ".lock").open("r+") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                return file.read().strip() or "another process"
    except OSError:  # there is no lock, so nobody has it
        pass
    return ""


_held: set[Path] = set()


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep a folder for this process alone while it trains there; E116 where another one has it.

    The system drops the lock when the process ends, however it does.
    """
    path = folder / ".lock"
    owner = "this process" if path.resolve() in _held else ""
    if not owner:  # opened once a process: to close the file again would drop the lock
        try:
            file = path.open("a+")
        except OSError as error:
            raise fail("E111", f"`{folder}` can't be written: {(error.strerror or str(error)).lower()}") from None
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock: worker processes would inherit it
        except (BlockingIOError, PermissionError):
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
    if owner:
        help = "wait until it ends, or name another --out"
        raise fail("E116", f"`{folder}` is in use by another run ({owner})", help=help)
    with file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        _held.add(path.resolve())
        try:
            yield
        finally:
            _held.discard(path.resolve())
            file.truncate(0)


def clean_folder(folder: Path, epoch: float, evaluated: bool) -> None:
    """Take out what a run that goes on does again: its summary, and the lines of what comes after ``epoch``."""
    try:
        (folder / "summary.json").unlink(missing_ok=True)
    except OSError as error:
        raise fail("E111", f"`{folder}` can't be written: {(error.strerror or str(error)).lower()}") from None
    kept = []
    for line in measured(folder):
        if line["epoch"] < epoch or (line["epoch"] == epoch and (evaluated or line["kind"] != "evaluation")):
            kept.append(f"{json.dumps(line)}\n")
    files.write_text(folder / "metrics.jsonl", "".join(kept))
