"""Find the folders of the parts of a dataset by their usual names, unless these may be classes. Needs no torch."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from recipe.base.wording import listing
from recipe.data.folders import has_class_folders, has_images, is_hidden
from recipe.data.parts import CALLED
from recipe.data.splits import NAMES


def named_parts(root: Path, stated: Collection[str] = ()) -> dict[str, Path]:
    """Return the folders of the parts in ``root``, by their usual names.

    ``stated`` are the parts whose images a recipe states elsewhere, so that their names matter less.

    Raises `OSError` if ``root`` can't be read, and `ValueError` if such a folder may be a class as well, or if there
    are several for a part that isn't stated.
    """
    found = {part: [path for path in _folders(root) if path.name.lower() in names] for part, names in NAMES.items()}
    if "train" not in stated:
        _refuse_classes(root, [path for paths in found.values() for path in paths])
    for part, paths in found.items():
        if len(paths) > 1 and part not in stated:
            names = " and ".join(f"`{path.name}`" for path in paths)
            raise ValueError(f"`{root}` has several folders of {CALLED[part]}, {names}: name one with `{part}=`")
    return {part: paths[0] for part, paths in found.items() if paths}


def _refuse_classes(root: Path, named: Collection[Path]) -> None:
    """Raise `ValueError` if no folder with a usual name has class folders, and others look like classes."""
    if any(has_class_folders(path) or not has_images(path) for path in named):
        return
    if named and (classes := _like_classes(root)):
        raise ValueError(
            f"{listing(map(str, named))} may have the images of a part, or those of a class, as {listing(classes, 3)} "
            f"do: if all of these are classes, write `train={_quoted(root)}` instead of the path; or else put the "
            "classes of each part in its folder"
        )


def passed_over(root: Path, taken: dict[str, Path], used: Iterable[Path]) -> Iterator[str]:
    """Yield notes on what is in ``root`` besides the folders that are used.

    ``taken`` are those that are used for their names alone. If other folders look like classes, these may be too.
    """
    real = {os.path.realpath(folder) for folder in used}
    names = [name for name in os.listdir(root) if not is_hidden(name)]
    if names := [name for name in names if os.path.realpath(root / name) not in real]:
        yield f"ignored in `{root}`: {listing(names, 3)}"
    if taken and _like_classes(root):
        roles = ", ".join(f"`{path.name}` for the folder of the {CALLED[part]}" for part, path in taken.items())
        yield f"taken by name: {roles}; if these are classes, write `train={_quoted(root)}` instead of the path"


def _like_classes(root: Path) -> list[str]:
    """Return the names of the folders that have images directly, besides those with the usual names of parts."""
    usual = {name for names in NAMES.values() for name in names}
    return [path.name for path in _folders(root) if path.name.lower() not in usual and has_images(path)]


def _folders(root: Path) -> list[Path]:
    return [root / name for name in sorted(os.listdir(root)) if not is_hidden(name) and os.path.isdir(root / name)]


def _quoted(path: Path) -> str:
    return '"{}"'.format(str(path).replace("\\", "\\\\").replace('"', '\\"'))
