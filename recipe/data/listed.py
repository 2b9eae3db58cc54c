"""The parts of a dataset in a list of paths and labels. Needs no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from recipe.base.errors import RecipeError
from recipe.base.wording import plural, system_reason
from recipe.data.folders import FoundImages, has_ending
from recipe.data.parts import CALLED, FileParts, Labeled, divided
from recipe.data.rows import Listed, Rows, check_known, sorted_classes
from recipe.data.splits import PARTS
from recipe.data.table import Columns, Problems, Table, read_table


@attrs.frozen(kw_only=True)
class ListLayout:
    """What a recipe states about a list of images."""

    path: str | None
    """The list of all images, or of those to train on."""
    folder: str | None
    """The folder that the paths in lists are relative to, or None for that of each list."""
    val: float | str | None
    """The share of the training images to hold out, or the list of the held-out images."""
    test: float | str | None
    """The share of the training images to use for a test, or the list of the test images."""
    columns: Columns
    """The names of the columns, as far as they are stated. That of groups is None for a pattern."""
    seed: int
    """Another seed splits the images in another way."""
    group: str | None
    """The pattern of paths whose `{}` names what stays on one side of a split, or None. See `Split`."""

    def count_classes(self) -> int | None:
        """Return the number of classes of the training images, or None without the list on this machine.

        Raises `RecipeError` (E070) if it is no list or lacks a column.
        """
        try:
            rows = () if self.path is None else read_table(self.path, self.columns, Problems()).rows
        except OSError:
            return None
        return len({row.label for row in rows if row.part in ("", "train")}) or None

    def first_images(self, most: int) -> list[str]:
        """Return the paths of up to ``most`` images to train on or to split, or none if they aren't on this machine."""
        if self.path is None:
            return []
        try:
            rows = read_table(self.path, self.columns, Problems(), most).rows
        except (OSError, RecipeError):  # they are reported when the images are opened
            return []
        found, root = Rows(), self._root(self.path)
        paths = (os.path.normpath(os.path.join(root, row.image)) for row in rows if row.part in ("", "train"))
        return [path if has_ending(path) else found.completed(path) for path in paths]

    def doubts(self) -> Iterator[str]:
        """Yield what is wrong with the lists, as far as their first lines show it."""
        for part, path in self._lists().items():
            try:
                read_table(path, self._columns_of(part), Problems(), 0)
            except OSError as error:
                yield f"the list `{path}` can't be read on this machine: {system_reason(error)}"
            except RecipeError as error:
                yield from (one.message for one in error.diagnostics)

    def parts(self) -> FileParts:
        """Find the images of each part.

        Raises `OSError` if a list can't be read, `ValueError` if the images can't be split as stated, and `RecipeError`
        (E070) with all that is wrong with the lists.
        """
        rows, notes = Rows(), list[str]()
        for part, path in self._lists().items():
            table = read_table(path, self._columns_of(part), rows.problems)
            notes += table.notes
            if part == "train":
                table, unused = self._used(table)
                notes += unused
            rows.add(table, self._root(path), part)
        notes += rows.finished()
        listed = {part: images for part in PARTS if (images := rows.of(part))}
        of_classes = listed.get("train") or [image for images in listed.values() for image in images]
        classes = sorted_classes(image.label for image in of_classes)
        check_known(classes, (image for images in listed.values() for image in images))
        found = {part: _found(images, classes) for part, images in listed.items()}
        labeled = {
            part: Labeled(
                classes=classes,
                labels=found[part].labels,
                names=[image.name for image in images],
                where=f"`{self._lists().get(part) or images[0].list}`",
                groups=[image.group for image in images] if self.columns.group else (),
            )
            for part, images in listed.items()
        }
        shares = {part: share for part, share in (("val", self.val), ("test", self.test)) if isinstance(share, float)}
        division = divided(labeled, shares, self.seed, self.group)
        train, val, test, external = (
            None if chosen is None else found[chosen[0]].only(chosen[1])
            for chosen in (division.train, division.val, division.test, division.external)
        )
        none = FoundImages((), (), ())
        return FileParts(classes, train or none, val or none, test, external, (*notes, *division.notes))

    def _lists(self) -> dict[str, str]:
        """Return the list of each part that has one."""
        given = {"train": self.path, "val": self.val, "test": self.test}
        return {part: path for part, path in given.items() if isinstance(path, str)}

    def _columns_of(self, part: str) -> Columns:
        """Return the columns of the list of a part. Only the main one says which images are for what."""
        return self.columns if part == "train" else attrs.evolve(self.columns, split=None, group=None)

    def _root(self, path: str) -> str:
        return self.folder or os.path.dirname(path)

    def _used(self, table: Table) -> tuple[Table, list[str]]:
        """Return the main list without the images of the parts that the recipe states itself, and notes on these."""
        stated = [part for part in ("val", "test") if getattr(self, part) is not None]
        counts = {part: sum(row.part == part for row in table.rows) for part in stated}
        notes = [
            f"{plural(count, 'image', form=',')} of `{table.path}` not used: {CALLED[part]}, since `{part}=` is stated"
            for part, count in counts.items()
            if count
        ]
        return attrs.evolve(table, rows=tuple(row for row in table.rows if row.part not in stated)), notes


def _found(images: Sequence[Listed], classes: Sequence[str]) -> FoundImages:
    label_of = {name: label for label, name in enumerate(classes)}
    files = tuple(Path(image.path) for image in images)
    return FoundImages(files, tuple(label_of[image.label] for image in images), ())
