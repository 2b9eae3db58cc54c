"""The image files that the arguments of a command name: files, folders, patterns and lists. Needs no torch."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from recipe.base.errors import fail
from recipe.base.wording import near_file, plural, system_reason
from recipe.data.folders import has_ending, is_hidden

LIST = "-"
"""The argument that stands for a list of paths on standard input."""


def images_named(arguments: Iterable[str], listed: BinaryIO | None) -> tuple[list[Path], list[str]]:
    """Return the paths of the images that arguments name, each once and in order, and notes on what was ignored.

    An argument is a file, a folder with images at any depth, a pattern such as ``photos/*.jpg``, or ``-`` for the lines
    of ``listed``, each of which names a file or folder. A file that is named is an image, whatever its ending, and even
    if it doesn't exist, since others may. In folders, hidden files, links to folders and files without an image's
    ending are ignored, as are links to folders within a pattern.

    Raises `RecipeError` (E128) if no path exists, or if a folder or pattern names no image.
    """
    paths, notes = dict[Path, None](), list[str]()
    for argument in arguments:
        if argument == LIST:
            for path in _lines(listed):
                paths |= dict.fromkeys(images_under(path, notes))
        elif os.path.lexists(argument) or not glob.has_magic(argument):
            paths |= dict.fromkeys(images_under(argument, notes))
        else:
            for path in _matched(argument, notes):
                paths |= dict.fromkeys(images_under(path, notes))
    if not paths:
        raise fail("E128", "no image is named", help="name image files or folders")
    check_exist(paths)
    return list(paths), notes


def check_exist(paths: Iterable[str | Path]) -> None:
    """Raise `RecipeError` (E128) if none of the paths exists. Reading reports those that are missing among others."""
    paths = list(paths)
    if paths and not any(map(os.path.lexists, paths)):
        help = near_file(paths[0]) or "name image files or folders"
        raise fail("E128", f"`{paths[0]}` does not exist", help=help)


def _matched(pattern: str, notes: list[str]) -> list[str]:
    """Return the paths that match a pattern, without those through links to folders, which may lead back."""
    start = os.path.dirname(re.split(r"[*?[]", pattern, maxsplit=1)[0])
    every = sorted(glob.glob(pattern, recursive=True))
    matched = [path for path in every if not _is_linked(path, start)]
    if not matched:
        raise fail("E128", f"no file matches `{pattern}`", help="put patterns in quotes, relative to this folder")
    if linked := len(every) - len(matched):
        notes.append(f"ignored in `{pattern}`: {plural(linked, 'match', 'matches')} through links to folders")
    return matched


def _is_linked(path: str, start: str) -> bool:
    """Whether a path below ``start`` is, or leads through, a link to a folder."""
    while path and len(path) > len(start):
        if os.path.islink(path) and os.path.isdir(path):
            return True
        path = os.path.dirname(path)
    return False


def _lines(listed: BinaryIO | None) -> Iterator[str]:
    """Yield the paths in a list, one per line."""
    if listed is None:
        raise fail("E128", "standard input is closed", help="name image files or folders")
    for line in listed:
        if path := os.fsdecode(line.rstrip(b"\r\n")):
            yield path


def images_under(path: str, notes: list[str]) -> list[Path]:
    """Return a file, or the images in a folder, as `images_named` finds them. Adds a note on what was ignored there."""
    if not os.path.isdir(path):
        if not path:
            raise fail("E128", "an empty path is named", help="name image files or folders")
        return [Path(path)]
    images, ignored = list[Path](), 0
    for folder, folders, files in os.walk(path, onerror=_raise):
        passed = [name for name in folders if is_hidden(name) or os.path.islink(os.path.join(folder, name))]
        ignored += len(passed)
        folders[:] = sorted({*folders} - {*passed})
        for name in sorted(files):
            if is_hidden(name) or not has_ending(name):
                ignored += 1
            else:
                images.append(Path(folder, name))
    if ignored:
        what = "1 entry that is" if ignored == 1 else f"{ignored} entries that are"
        notes.append(f"ignored in `{path}`: {what} hidden, a link to a folder, or without an image's ending")
    if not images:
        raise fail(
            "E128", f"`{path}` has no images", help="images in a folder are found by their endings: .jpg, .png, …"
        )
    return images


def _raise(error: OSError) -> None:
    raise fail("E128", f"`{error.filename}` can't be read: {system_reason(error)}")
