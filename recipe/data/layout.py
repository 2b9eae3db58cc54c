"""The parts of a dataset in folders: which images are for training, which are held out, and which are for a test.

Needs no torch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import attrs

from recipe.base.wording import listing
from recipe.data.folders import FoundImages, class_folders, find_images, first_images, missing_folder, without_images
from recipe.data.part_folders import named_parts, passed_over
from recipe.data.parts import CALLED, SHARE, FileParts, Labeled, shared_groups
from recipe.data.splits import Split, groups_of

SKIP = "; write `subfolders=skip` to ignore images in subfolders of a class"


@attrs.frozen(kw_only=True)
class FolderLayout:
    """What a recipe states about the folders of a dataset."""

    path: str | None
    """The folder that has those of the parts by their usual names, or else those of the classes."""
    train: str | None
    """The folder of the training images, if it isn't in ``path``."""
    val: float | str | None
    """The share of the training images to hold out, or the folder of the held-out images."""
    test: float | str | None
    """The share of the training images to use for a test, or the folder of the test images."""
    seed: int
    """Another seed splits the images in another way."""
    group: str | None
    """The pattern of paths whose `{}` names what stays on one side of a split. See `Split`."""
    subfolders: str
    """What to do with images in subfolders of a class. See `SUBFOLDERS`."""

    @classmethod
    def of(cls, stated: Any) -> FolderLayout:
        """Return what a trick states in fields of these names, the seed in ``split_seed``."""
        names = (field.name for field in attrs.fields(cls) if field.name != "seed")
        return cls(seed=stated.split_seed, **{name: getattr(stated, name) for name in names})

    def count_classes(self) -> int | None:
        """Return the number of classes of the training images, or None without a folder of them on this machine.

        Raises `ValueError` if the folders are ambiguous or contain one another.
        """
        try:
            train = self._located().folders.get("train")
            return None if train is None else len(class_folders(train, self.subfolders))
        except OSError:
            return None

    def first_images(self, most: int) -> list[str]:
        """Return the paths of up to ``most`` images to train on or to split, or none if they aren't on this machine."""
        try:
            train = self._located().folders.get("train")
            return [] if train is None else first_images(train, most)
        except (OSError, ValueError):
            return []

    def parts(self) -> FileParts:
        """Find the images of each part.

        Raises `OSError` if a folder can't be read or lacks images, and `ValueError` if the folders are ambiguous or
        contain one another, or if images can't be split as stated.
        """
        located = self._located()
        if "train" not in located.folders:
            return self._without_training(located)
        train, shares = located.folders["train"], located.shares
        classes = self._classes(located, "train")
        whole = self._found(train, classes)
        names = _names(train, classes, whole)
        labeled = Labeled(classes=classes, labels=whole.labels, names=names, where=f"`{train}`")
        drawn = labeled.drawn(Split(**shares, seed=self.seed, group=self.group, help=SKIP), located.assumed)
        found = {part: whole.only(indices) for part, indices in drawn.parts.items()}
        notes = [*located.notes, *whole.notes, *drawn.notes]
        groups = {part: [labeled.grouped(self.group)[at] for at in indices] for part, indices in drawn.parts.items()}
        for part in ("val", "test"):
            if part not in shares and part in located.folders:
                try:
                    found[part] = self._held_out(located, part, classes)
                    notes += found[part].notes
                    groups[part] = groups_of(_names(located.folders[part], classes, found[part]), self.group)
                except FileNotFoundError as error:
                    if part == "val" or self.test is not None:
                        raise
                    notes.append(f"`{located.folders[part]}` is not used: {error}")
        lacks = {*range(len(classes))} - {*found["train"].labels}
        notes += shared_groups(groups) if self.group is not None else ()
        fault = _empty(train, classes, whole) if lacks else None
        test = found.get("test")
        external = (test or whole) if located.assumed else None
        return FileParts(tuple(classes), found["train"], found["val"], test, external, tuple(notes), fault)

    def _located(self) -> _Located:
        given = {"train": self.train, "val": self.val, "test": self.test}
        shares = {part: value for part, value in given.items() if isinstance(value, float)}
        folders = {part: Path(value) for part, value in given.items() if isinstance(value, str)}
        by_name, notes = dict[str, Path](), list[str]()
        if self.path is not None:
            root = Path(self.path)
            if not os.path.isdir(root):  # unlike Path.is_dir, it accepts names that are too long
                raise missing_folder(root)
            named = named_parts(root, {*folders, *shares})
            found = {part: folder for part, folder in (named or {"train": root}).items() if given[part] is None}
            folders, by_name = found | folders, found if named else {}
            notes += [] if root in folders.values() else passed_over(root, by_name, folders.values())
        _check_apart(folders)
        assumed = "train" in folders and "val" not in {*folders, *shares}
        return _Located(folders, shares | {"val": SHARE} if assumed else shares, assumed, by_name, tuple(notes))

    def _without_training(self, located: _Located) -> FileParts:
        """Return the images of a dataset that has none to train on, all of them held out."""
        part = "val" if "val" in located.folders else "test"
        if located.shares or part not in located.folders:
            raise ValueError("there are no training images to split: name their folder with `train=`")
        folder, classes = located.folders[part], self._classes(located, part)
        found = self._found(folder, classes)
        notes = (*located.notes, f"all images of `{folder}` are held out: there are none to train on", *found.notes)
        return FileParts(tuple(classes), FoundImages((), (), ()), found, None, None, notes)

    def _classes(self, located: _Located, part: str) -> list[str]:
        try:
            return class_folders(located.folders[part], self.subfolders)
        except FileNotFoundError as error:
            why = f", which by its name has the {CALLED[part]}" if part in located.by_name else ""
            told = FileNotFoundError(f"{error}{why}")
            told.__notes__ = [*getattr(error, "__notes__", ())]
            raise told from error

    def _held_out(self, located: _Located, part: str, classes: Sequence[str]) -> FoundImages:
        folder, train = located.folders[part], located.folders["train"]
        if unknown := sorted({*self._classes(located, part)} - {*classes}):
            raise FileNotFoundError(f"the class `{unknown[0]}` of `{folder}` has no folder in `{train}`")
        return self._found(folder, classes)

    def _found(self, folder: Path, classes: Sequence[str]) -> FoundImages:
        found = find_images(folder, classes, self.subfolders)
        if not found.files:
            raise _empty(folder, classes, found)
        return found


def _empty(folder: Path, classes: Sequence[str], found: FoundImages) -> FileNotFoundError:
    """Return the error for classes without images, with what was ignored in their folder. Its note is what to do."""
    empty = [str(folder / name) for label, name in enumerate(classes) if label not in {*found.labels}]
    others = (note for note in found.notes if note not in without_images(folder, classes, found.labels))
    where = listing(empty) if found.files else f"`{folder}`"
    error = FileNotFoundError("; ".join((f"no images found in {where}", *others)))
    removed = ", or remove a folder that is no class"
    error.add_note(f"put the images of each class in its folder{removed * bool(found.files)}")
    return error


@attrs.frozen
class _Located:
    """Where the images of each part are: in a folder, or a share of the training images."""

    folders: dict[str, Path]
    shares: dict[str, float]
    assumed: bool
    """Whether the share to hold out is the default."""
    by_name: dict[str, Path]
    """The folders that were found by their usual names."""
    notes: tuple[str, ...]


def _check_apart(folders: dict[str, Path]) -> None:
    real = {part: os.path.realpath(folder) for part, folder in folders.items()}
    for (part, outer), (other, inner) in permutations(real.items(), 2):
        if os.path.splitdrive(outer)[0] == os.path.splitdrive(inner)[0] and os.path.commonpath((outer, inner)) == outer:
            where = "are in the same folder as" if inner == outer else "are inside the folder of"
            raise ValueError(f"the {CALLED[other]} in `{folders[other]}` {where} the {CALLED[part]}")


def _names(root: Path, classes: Sequence[str], found: FoundImages) -> list[str]:
    """Return the path of each image in the folder of its class, with `/` between folders."""
    starts = [len(os.fspath(root / name)) + 1 for name in classes]
    each = zip(found.files, found.labels, strict=True)
    return [os.fspath(path)[starts[label] :].replace(os.sep, "/") for path, label in each]
