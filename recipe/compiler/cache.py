"""A cache of program summaries, stored as JSON between commands, each with its digest.

The key covers everything that a summary depends on: the plan's digest, the files that it names, the code of this
package, and the versions of the packages that build the models. An entry is therefore never stale: any change leads
to a different key. Plans that use a plugin are not cached.
"""

from __future__ import annotations

import json
import os
import platform
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recipe.base import files
from recipe.base.errors import RecipeError
from recipe.base.identity import digest, version_of
from recipe.base.typed_json import MOST, Malformed, parsed
from recipe.compiler.summary import ProgramSummary
from recipe.plan.plan import Plan
from recipe.plugins.field_contracts import ModelFields
from recipe.plugins.fingerprint import PACKAGE, code_of, code_of_plugins

KEEP = 256
"""Number of entries to keep, newest first."""

HEAD = 1 << 20
"""Number of bytes to read from a file to detect changes. The header of a weights file is shorter."""

ENTRY = re.compile(r"[0-9a-f]{16}\.json")
"""The name of an entry: its key."""

PACKAGES = ("torch", "torchvision", "timm", "attrs")


def folder() -> Path:
    """Return the cache folder, in ``RECIPE_CACHE`` or in ``recipe-compiler`` in the user's cache folder.

    Raises `OSError` if the user has no home directory.
    """
    if named := os.environ.get("RECIPE_CACHE"):
        root = Path(named)
    else:
        shared = os.environ.get("XDG_CACHE_HOME", "")
        try:  # the specification says to ignore a relative path
            root = (Path(shared) if os.path.isabs(shared) else Path.home() / ".cache") / "recipe-compiler"
        except RuntimeError as error:
            raise OSError(str(error)) from None
    return root / "facts"  # a separate folder, since old files in it are removed


def key(plan: Plan) -> str | None:
    """Return the cache key of a plan, or None if its summary depends on more than its key can cover.

    That is the code of a plugin, a run folder, or weights that are known only once they are downloaded.
    """
    weights = ModelFields.of(plan.base.trick).weights
    if isinstance(weights, str) and (os.path.isdir(weights) or (":" in weights and not os.path.isabs(weights))):
        return None
    try:
        parts = outside(plan)
    except (OSError, RecipeError):  # compiling reports it
        return None
    if parts["plugins"]:
        return None
    parts |= {
        "plan": plan.canonical(),
        "code": code_of(PACKAGE.name),
        "python": [platform.python_version(), sys.prefix],
        "packages": [f"{name} {version}" if (version := version_of(name)) else f"no {name}" for name in PACKAGES],
    }
    return digest(json.dumps(parts, sort_keys=True).encode())


def outside(plan: Plan) -> dict[str, Any]:
    """Return what a plan's digest does not cover: the number of images, its files, and the code of its plugins.

    Raises `RecipeError` if the images can't be counted, and `OSError` if a file can't be read.
    """
    return {
        "images": [plan.count("count_classes"), plan.count("count_images")],
        "files": sorted(_files(plan)),
        "plugins": sorted(code_of_plugins(plan.uses).values()),
    }


def _files(plan: Plan) -> Iterator[list[Any]]:
    """Yield each file that a plan's values name: its path, size, modification time, and a digest of its beginning."""
    for use in plan.uses:
        for value in use.values.values():
            if isinstance(value, str) and os.path.isabs(value) and os.path.isfile(value):
                status = os.stat(value)
                with open(value, "rb") as file:
                    yield [value, status.st_size, status.st_mtime_ns, digest(file.read(HEAD))]


def load(name: str) -> ProgramSummary | None:
    """Return the summary stored under a key, or None if it is missing or damaged."""
    try:
        seal, _, content = files.read(_entry(name), MOST).partition(b"\n")
        return ProgramSummary.from_dict(parsed(content)) if seal == _seal(name, content) else None
    except (OSError, Malformed):  # it is computed again
        return None


def save(name: str, facts: ProgramSummary) -> None:
    """Store a summary under a key, and remove old entries. Failing to write is no error: it is computed next time."""
    content = json.dumps(facts.to_dict()).encode()
    try:
        folder().parent.mkdir(parents=True, exist_ok=True)
        files.make_folder(folder())
        files.write(_entry(name), lambda file: file.write(_seal(name, content) + b"\n" + content))
        for old in sorted(_entries(), reverse=True)[KEEP:]:
            files.remove(old[1])
    except (OSError, RecipeError):
        return


def _entry(name: str) -> Path:
    return folder() / f"{name}.json"


def _seal(name: str, content: bytes) -> bytes:
    """Return the first line of an entry: the digest of its key and content. The second line is its content."""
    return json.dumps(digest(name.encode() + b"\n" + content)).encode()


def _entries() -> Iterator[tuple[int, Path]]:
    """Yield the modification time and path of each entry. Files with other names, and links, are not ours."""
    for path in folder().iterdir():
        status = path.lstat()
        if ENTRY.fullmatch(path.name) and stat.S_ISREG(status.st_mode):
            yield status.st_mtime_ns, path


def cached_summary(plan: Plan) -> ProgramSummary:
    """Return the summary of a plan, from the cache or by compiling it on the meta device. Raises `RecipeError`."""
    name = key(plan)
    summary = load(name) if name else None
    if summary is None:
        from recipe.compiler.lower import lower
        from recipe.compiler.summarise import describe

        summary = describe(lower(plan, device="meta"))
        if name:
            save(name, summary)
    return summary
