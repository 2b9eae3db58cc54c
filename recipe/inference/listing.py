"""The image files that the arguments of a command name: files, folders, patterns and lists. Needs no torch."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from recipe.base.errors import fail
from recipe.base.wording import system_reason
from recipe.data.folders import has_ending, is_hidden

LIST = "-"
"""The argument that stands for a list of paths on standard input."""


def images_named(arguments: Iterable[str], listed: BinaryIO | None) -> tuple[list[Path], list[str]]:
    """Return the paths of the images that arguments name, each once and in order, and notes on what was ignored.

    An argument is a file, a folder with images at any depth, a pattern such as ``photos/*.jpg``, or ``-`` for the lines
    of ``listed``, each of which names a file or folder. A file that is named is an image, whatever its ending. In
    folders, hidden files, links to folders and files without an image's ending are ignored.

    Raises `RecipeError` (E128) if a path does not exist or names no image.
    """
    paths, notes = dict[Path, None](), list[str]()
    for argument in arguments:
        if argument == LIST:
            for path in _lines(listed):
                paths |= dict.fromkeys(_under(path, notes))
        elif os.path.lexists(argument) or not glob.has_magic(argument):
            paths |= dict.fromkeys(_under(argument, notes))
        else:
            matched = sorted(glob.glob(argument, recursive=True))
            if not matched:
                raise fail(
                    "E128", f"no file matches `{argument}`", help="put patterns in quotes, relative to this folder"
                )
            for path in matched:
                paths |= dict.fromkeys(_under(path, notes))
    if not paths:
        raise fail("E128", "no image is named", help="name image files or folders")
    return list(paths), notes


def _lines(listed: BinaryIO | None) -> Iterator[str]:
    """Yield the paths in a list, one per line."""
    if listed is None:
        raise fail("E128", "standard input is closed", help="name image files or folders")
    for line in listed:
        if path := os.fsdecode(line.rstrip(b"\r\n")):
            yield path


def _under(path: str, notes: list[str]) -> list[Path]:
    if not os.path.isdir(path):
        if not os.path.lexists(path):
            raise fail("E128", f"`{path}` does not exist", help="name image files or folders")
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
