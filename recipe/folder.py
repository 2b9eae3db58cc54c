"""A run's folder: where it is, what lies in it, and which finished run belongs to a plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recipe import files
from recipe.diagnostics import fail
from recipe.plan import Plan

RUNS = Path("runs")


def summary_of(folder: Path) -> dict[str, Any]:
    """A run's summary; empty where it has not finished or can't be read."""
    try:
        found = json.loads((folder / "summary.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def finished_run(near: Path, digest: str) -> Path | None:
    """The folder of a finished run of a plan, of those in a folder of runs."""
    for folder in sorted(near.glob("*/")):
        if summary_of(folder).get("digest") == digest and (folder / "model.safetensors").is_file():
            return folder
    return None


OWN_FILES = ("recipe.lock", "summary.json", "metrics.jsonl", "environment.json", "model.safetensors", "checkpoints")


def choose_folder(out: str | Path | None, name: str, digest: str, resume: bool) -> Path:
    """The folder of a new run, or of the run to go on with.

    What a folder holds is never written over: without ``resume``, a number is added to the default name, and a folder
    that was named is refused (E113) where a file of the run is there already; with it, where it is another recipe's.
    """
    if out is not None:
        folder = Path(out)
        if len(folder.name.encode()) > 255:
            raise fail(
                "E113", "the name of the run's folder is longer than file systems allow", help="name another --out"
            )
        if not str(out).strip():
            raise fail("E113", "the run's folder has no name", help="name one with --out")
        begun = (folder / "recipe.lock").exists()
        if not (resume and begun) and any((folder / own).exists() for own in OWN_FILES):
            help = "go on with it with --resume, or name another --out" if begun else "name another --out"
            raise fail("E113", f"`{folder}` holds {'a run' if begun else 'other files'} already", help=help)
        if begun and locked(folder) != digest:
            raise fail("E113", f"`{folder}` holds a run of another recipe", help="name another --out")
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


def lock_text(plan: Plan) -> str:
    """The text of `recipe.lock`: a recipe with every value explicit, which binds to the same plan."""
    return f"# plan {plan.digest}\n{plan.canonical()}"


def begin_folder(folder: Path, step: int, named: bool) -> Path:
    """Make a run's folder, and take out what a resumed run does again; a default name that is taken gets a number."""
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
        (folder / "summary.json").unlink(missing_ok=True)
    except OSError as error:
        raise fail("E111", f"`{folder}` can't be written: {(error.strerror or str(error)).lower()}") from None
    _truncate_metrics(folder, step)
    return folder


def _truncate_metrics(folder: Path, step: int) -> None:
    """Drop the lines of steps that a resumed run does again."""
    path = folder / "metrics.jsonl"
    kept = []
    if path.exists():
        for line in path.read_text("utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError, TypeError):
                continue
    files.write_text(path, "".join(f"{line}\n" for line in kept))
