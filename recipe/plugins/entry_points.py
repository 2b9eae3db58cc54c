"""The entry points of installed packages, each package read by itself, so that a damaged one spoils no other."""

from __future__ import annotations

import re
from importlib import metadata

import attrs

from recipe.base.errors import RecipeError, fail


@attrs.frozen
class Refused:
    """What a package offers and no recipe can use: a word, or, where it is damaged, all that it has."""

    package: str
    word: str
    error: RecipeError


def registered(group: str) -> tuple[list[tuple[str, metadata.EntryPoint]], list[Refused]]:
    """The entry points of a group, each with the name of its package, and the packages that are damaged.

    Of a package that is there more than once the first on ``sys.path`` counts, as for `importlib.metadata`. One
    without a name is called by where it lies.
    """
    by_package: dict[str, list[tuple[str, metadata.EntryPoint]]] = {}
    damaged: list[Refused] = []
    for package in metadata.distributions():
        if not _mentions(package, group):  # asked first: to read a name is slow
            continue
        name = _name(package)
        if name is None:
            place = str(getattr(package, "_path", package.locate_file("")))
            damaged.append(_damaged(place, "it has no METADATA with its name"))
        elif normal(name) not in by_package:
            try:
                first = next(iter(metadata.distributions(name=name)), package)
                entries = [entry for entry in first.entry_points if entry.group == group]
            except Exception:  # a line without `=`, bytes that are no text, or what else was left there
                entries = []
                damaged.append(_damaged(name, "its entry_points.txt can't be read"))
            by_package[normal(name)] = [(name, entry) for entry in entries]
    return [entry for entries in by_package.values() for entry in entries], damaged


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _damaged(package: str, why: str) -> Refused:
    return Refused(package, "", fail("E080", f"the package {package} is damaged: {why}", help="install it again"))


def _mentions(package: metadata.Distribution, group: str) -> bool:
    """Whether a package may have entry points of a group, as one does whose list can't be read."""
    try:
        return group in (package.read_text("entry_points.txt") or "")
    except Exception:
        return True


def _name(package: metadata.Distribution) -> str | None:
    try:
        return package.metadata["Name"] or None
    except Exception:
        return None
