"""Facts that were worked out before, kept as JSON between commands.

The key holds all that the facts are a function of: the plan's digest, what it finds in files, the code of this
package, and the versions of what builds the models. So a file of the cache is never stale: where anything changes,
another one is asked for. Of a plan that uses a plugin nothing is kept.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recipe.base import files
from recipe.base.errors import RecipeError
from recipe.base.identity import digest, version_of
from recipe.compiler.summary import ProgramSummary
from recipe.plan.plan import Plan
from recipe.plugins.fingerprint import PACKAGE, code_of, code_of_plugins

KEEP = 256
"""Files that the cache keeps, the newest."""

HEAD = 1 << 20
"""Bytes of a file that are read to tell it from another; the header of a weights file is shorter."""
PACKAGES = ("torch", "torchvision", "timm", "attrs")


def folder() -> Path:
    """Where the cache lies: in ``RECIPE_CACHE``, or in ``recipe-compiler`` of the user's cache folder."""
    named = os.environ.get("RECIPE_CACHE")
    root = (
        Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "recipe-compiler"
    )
    return root / "facts"  # a folder of its own, whose old files are removed


def key(plan: Plan) -> str | None:
    """What identifies the facts of a plan; None where it uses a plugin, whose code may depend on anything."""
    try:
        parts = outside(plan)
    except (OSError, RecipeError):  # of which compiling tells
        return None
    if parts["plugins"]:
        return None
    parts |= {
        "plan": plan.digest,
        "code": code_of(PACKAGE.name),
        "python": [platform.python_version(), sys.prefix],
        "packages": [f"{name} {version}" if (version := version_of(name)) else f"no {name}" for name in PACKAGES],
    }
    return digest(json.dumps(parts, sort_keys=True).encode())


def outside(plan: Plan) -> dict[str, Any]:
    """What a plan's digest does not tell of it: how many images there are, its files, and the code of its plugins.

    Raises `RecipeError` where the images can't be counted, and `OSError` where a file can't be read.
    """
    return {
        "images": [plan.count("count_classes"), plan.count("count_images")],
        "files": sorted(_files(plan)),
        "plugins": sorted(code_of_plugins(plan.uses).values()),
    }


def _files(plan: Plan) -> Iterator[list[Any]]:
    """What a plan's values name on disk: a file with its size, time and beginning."""
    for use in plan.uses:
        for value in use.values.values():
            if isinstance(value, str) and os.path.isabs(value) and os.path.isfile(value):
                status = os.stat(value)
                with open(value, "rb") as file:
                    yield [value, status.st_size, status.st_mtime_ns, digest(file.read(HEAD))]


def load(name: str) -> ProgramSummary | None:
    """The facts under a key, or None where there are none that can be read."""
    try:
        return ProgramSummary.from_dict(json.loads((folder() / f"{name}.json").read_text("utf-8")))
    except Exception:  # whatever is wrong with it, it can be worked out anew
        return None


def save(name: str, facts: ProgramSummary) -> None:
    """Keep facts under a key. A cache that can't be written is no error: the facts are worked out anew."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        files.write_text(folder() / f"{name}.json", json.dumps(facts.to_dict()))
        by_age = sorted(folder().glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        for old in by_age[:-KEEP]:
            old.unlink(missing_ok=True)
    except (OSError, RecipeError):
        return


def cached_summary(plan: Plan) -> ProgramSummary:
    """The facts of a plan, from the cache or by compiling it for costs. Raises `RecipeError`."""
    name = key(plan)
    summary = load(name) if name else None
    if summary is None:
        from recipe.compiler.lower import lower
        from recipe.compiler.summarise import describe

        summary = describe(lower(plan, device="meta"))
        if name:
            save(name, summary)
    return summary
