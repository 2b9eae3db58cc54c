"""The entry points of installed packages. Each package is read separately, so a damaged one doesn't affect others."""

from __future__ import annotations

import re
from importlib import metadata

import attrs

from recipe.base.errors import RecipeError, fail


@attrs.frozen
class Refused:
    """A word of a package that no recipe can use. An empty word stands for all words of a damaged package."""

    package: str
    word: str
    error: RecipeError


def registered(group: str) -> tuple[list[tuple[str, metadata.EntryPoint]], list[Refused]]:
    """Return the entry points of a group, each with the name of its package, and the damaged packages.

    If a package is installed more than once, the first on ``sys.path`` counts, as in `importlib.metadata`. A package
    without a name is identified by its path.
    """
    by_package: dict[str, list[tuple[str, metadata.EntryPoint]]] = {}
    damaged: list[Refused] = []
    for package in metadata.distributions():
        if not _mentions(package, group):  # checked first because reading a name is slow
            continue
        name = _name(package)
        if name is None:
            place = str(getattr(package, "_path", package.locate_file("")))
            damaged.append(_damaged(place, "it has no METADATA with a name"))
        elif normal(name) not in by_package:
            try:
                first = next(iter(metadata.distributions(name=name)), package)
                entries = [entry for entry in first.entry_points if entry.group == group]
            except Exception:  # a line without `=`, bytes that aren't text, or other damage
                entries = []
                damaged.append(_damaged(name, "its entry_points.txt can't be read"))
            by_package[normal(name)] = [(name, entry) for entry in entries]
    return [entry for entries in by_package.values() for entry in entries], damaged


def normal(name: str) -> str:
    """Return a package's normalized name, as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _damaged(package: str, why: str) -> Refused:
    return Refused(package, "", fail("E080", f"the package {package} is damaged: {why}", help="reinstall it"))


def _mentions(package: metadata.Distribution, group: str) -> bool:
    """Whether a package may have entry points in a group. True if its list can't be read."""
    try:
        return group in (package.read_text("entry_points.txt") or "")
    except Exception:
        return True


def _name(package: metadata.Distribution) -> str | None:
    try:
        return package.metadata["Name"] or None
    except Exception:
        return None
