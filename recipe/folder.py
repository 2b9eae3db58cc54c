"""A run's folder: where it is, what lies in it, and which finished run belongs to a plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recipe import files
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


def choose_folder(out: str | Path | None, name: str, digest: str, resume: bool) -> Path:
    """The folder of a new run, or of the run to go on with.

    A folder that holds a run is never written over: without ``resume``, a number is added to the default name, and a
    folder that was named is refused.
    """
    if out is not None:
        folder = Path(out)
        if not resume and (folder / "recipe.lock").exists():
            from recipe.diagnostics import fail

            raise fail(
                "E113", f"`{folder}` holds a run already", help="go on with it with --resume, or name another --out"
            )
        return folder
    first = RUNS / f"{name}-{digest[:8]}"
    candidates = [first, *(first.with_name(f"{first.name}-{number}") for number in range(2, 10_000))]
    if resume:
        begun = [folder for folder in candidates if (folder / "recipe.lock").exists()]
        return begun[-1] if begun else first
    return next(folder for folder in candidates if not folder.exists())


def lock_text(plan: Plan) -> str:
    """The text of `recipe.lock`: a recipe with every value explicit, which binds to the same plan."""
    return f"# plan {plan.digest}\n{plan.canonical()}"


def truncate_metrics(folder: Path, step: int) -> None:
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
