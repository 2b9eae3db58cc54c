"""Read the datasets of torchvision: those of files as their paths, and those of arrays as their pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

from recipe.api import Labeled, fail
from recipe.tricks._torchvision_parts import Part, in_arrays, in_files, names_of
from recipe.tricks._torchvision_table import TABLE, Entry


def default_root() -> str:
    """Return the folder `datasets` next to torch's cache of weights. Needs no torch."""
    cache = os.path.join(os.getenv("XDG_CACHE_HOME", "~/.cache"), "torch")
    return os.path.join(os.path.expanduser(os.getenv("TORCH_HOME", cache)), "datasets")


def read(
    name: str, splits: Mapping[str, str], variant: Any, root: str, download: bool
) -> tuple[tuple[str, ...], dict[str, Part], tuple[str, ...]]:
    """Return the names of the classes, the images of each part, and notes.

    Raises `RecipeError` (E070) if the files are missing or damaged.

    Args:
        name: The name of the dataset.
        splits: The split for each part.
        variant: The value of the argument that chooses a variant, or None.
        root: The folder of the files.
        download: Whether to download missing files.
    """
    entry, parts, notes = TABLE[name], dict[str, Part](), list[str]()
    chosen, of_classes = {entry.variant: variant} if entry.variant else {}, dict[str, list[str]]()
    if not (download or os.path.isdir(root)):
        raise _missing(name, entry, root, "there is no such folder")
    for part, split in splits.items():
        dataset = _opened(name, entry, {**entry.splits[split], **chosen}, root, download)
        parts[part] = in_arrays(dataset) if entry.side is not None else in_files(dataset, root)
        of_classes[part] = names_of(dataset)
    names = next(iter(of_classes.values()))
    if other := next((part for part, each in of_classes.items() if each != names), None):
        first = splits[next(iter(of_classes))]
        raise _missing(name, entry, root, f"`{splits[other]}` has other classes than `{first}`")
    names = names or [*map(str, range(1 + max(max(part.labels, default=0) for part in parts.values())))]
    unlabeled = [part for part, found in parts.items() if -1 in found.labels]
    for part in unlabeled:
        notes.append(f"`{name}`: the split `{splits[part]}` is not used, since it has no labels")
        del parts[part]
    used = sorted({label for part in parts.values() for label in part.labels})
    number_of = {label: number for number, label in enumerate(used)}  # EMNIST counts letters from 1
    parts = {
        part: attrs.evolve(found, labels=[number_of[label] for label in found.labels]) for part, found in parts.items()
    }
    return tuple(names[label] for label in used), parts, tuple(notes)


def labeled(
    name: str, classes: Sequence[str], parts: Mapping[str, Part], splits: Mapping[str, str]
) -> dict[str, Labeled]:
    """Return what decides on which images are for what."""
    by = "by their names" if TABLE[name].side is None else "by their numbers"
    return {
        part: Labeled(
            classes=classes, labels=found.labels, names=found.names, where=f"`{splits[part]}` of `{name}`", by=by
        )
        for part, found in parts.items()
    }


def _opened(name: str, entry: Entry, arguments: Mapping[str, Any], root: str, download: bool) -> Any:
    from torchvision import datasets

    make = getattr(datasets, name)
    try:
        return make(root, **arguments, **({} if entry.by_hand else {"download": False}))
    except Exception as error:  # of many kinds
        if entry.by_hand or not download:
            why = " ".join(str(error).split()).split(" You can use")[0].rstrip(".")
            raise _missing(name, entry, root, why) from error
    try:
        with _alone(root):
            return make(root, **arguments, download=True)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise fail("E070", f"`{name}` can't be downloaded to `{root}`: {reason}") from error


def _missing(name: str, entry: Entry, root: str, why: str) -> Exception:
    from torchvision import datasets

    help = "add `download=true` to download them there, or name another folder with `root=`"
    if hasattr(getattr(datasets, name), "resources"):  # those of the MNIST family
        help += f" that has them in `{name}/raw`"
    if entry.other_trick:
        help += f"; `{entry.other_trick}` reads the same files from any folder"
    if entry.by_hand:
        help = f"put them there as torchvision's documentation of `{name}` describes: they can't be downloaded"
    return fail("E070", f"the files of `{name}` are missing or damaged in `{root}`: {why}", help=help)


@contextmanager
def _alone(root: str) -> Iterator[None]:
    """A context in which no other process downloads to a folder, such as one of another GPU."""
    import fcntl

    os.makedirs(root, exist_ok=True)
    with open(os.path.join(root, ".download.lock"), "w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield
