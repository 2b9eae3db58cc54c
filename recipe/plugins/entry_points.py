"""The entry points of installed packages, each package read by itself, so that a damaged one spoils no other."""

from __future__ import annotations

import re
from importlib import metadata

import attrs


@attrs.frozen
class Damaged:
    """A package whose entry points can't be used, by its name, else by where it lies, and why."""

    package: str
    why: str


def registered(group: str) -> tuple[list[tuple[str, metadata.EntryPoint]], list[Damaged]]:
    """The entry points of a group, each with the name of its package, and the packages that are damaged.

    Of a package that is there more than once the first on ``sys.path`` counts, as for `importlib.metadata`.
    """
    found: dict[str, list[tuple[str, metadata.EntryPoint]]] = {}
    damaged: list[Damaged] = []
    for each in metadata.distributions():
        if not _mentions(each, group):  # asked first: to read a name is slow
            continue
        name = _name(each)
        if name is None:
            damaged.append(Damaged(_place(each), "it has no METADATA with its name"))
        elif normal(name) not in found:
            try:
                first = next(iter(metadata.distributions(name=name)), each)
                entries = [entry for entry in first.entry_points if entry.group == group]
            except Exception:  # a line without `=`, bytes that are no text, or what else was left there
                entries = []
                damaged.append(Damaged(name, "its entry_points.txt can't be read"))
            found[normal(name)] = [(name, entry) for entry in entries]
    return [entry for entries in found.values() for entry in entries], damaged


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


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


def _place(package: metadata.Distribution) -> str:
    """Where a package is described, which alone tells a nameless one from others."""
    return str(getattr(package, "_path", package.locate_file("")))
