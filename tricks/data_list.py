"""data list PATH: images and their labels in a list, such as a CSV file with the columns `image` and `label`.

A list is text in UTF-8 whose columns are separated by commas, tabs, semicolons or bars, with a header, or lines of a
path and a label without one. Paths are relative to the folder of the list. A path may lack the ending of its file if
only one image in its folder has this name.

Without any held-out images, 20 % of the training images are held out. Which ones follows from a hash of their label and
path, so images that are added or removed later move no others. The last image of a class stays in training.

Labels are names or numbers. The classes are sorted, by their values if all labels are whole numbers.

Test images are evaluated once, at the end of a training. Nothing else looks at them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import Columns, ListLayout, Trick, fail, share_or_path, text, trick
from recipe.api import path as file
from recipe.tricks._files import sets_of
from recipe.tricks._image_fields import (
    COLUMN,
    background,
    check_shares,
    column_or_pattern,
    on_error,
    orientation,
    size,
    split_seed,
    workers,
)
from recipe.tricks._image_names import OF_IMAGES
from recipe.tricks._suggested import suggested_by
from recipe.tricks._suggested_rates import bounded

if TYPE_CHECKING:
    from recipe.api import PlanView, Sets, SuggestContext


@trick(
    "data list",
    position=40,
    writes=("data",),
    known_as={"csv": "", "tsv": "", "annotations": "", "labels-csv": "", "image-list": "", **OF_IMAGES},
)
class List(Trick):
    """Train on the images in a list of paths and labels, and evaluate on those that are held out.

    An evaluation needs no images to train on. A model that was trained on other images is evaluated on all images of a
    PATH that has none to hold out.
    """

    path: str | None = file(None, "list of all images, or of those to train on")
    folder: str | None = file(None, "folder that the paths in lists are relative to", unset="the folder of each list")
    size: int = size()
    workers: int = workers()
    on_error: str = on_error()
    image: str | None = text(
        None,
        "column of the images",
        what=COLUMN,
        unset="a usual name such as `image`, `path`, `file` or `id`, or the only column besides the labels",
    )
    label: str | None = text(
        None,
        "column of the labels",
        what=COLUMN,
        unset="a usual name such as `label`, `class` or `target`, or the only column besides the images",
    )
    split: str | None = text(
        None,
        "column that says which images are for what: `train`, `val` or `test`, or another usual name of these",
        what=COLUMN,
        unset="all images of a list are for the same part",
    )
    val: float | str | None = share_or_path(
        None,
        "part of the training images to hold out, such as `10%`, or the list of the held-out images",
        unset="the held-out images by the column `split=`, or 20 % of the training images",
    )
    test: float | str | None = share_or_path(
        None,
        "part of the training images to use only for a test at the end, or the list of the test images",
        unset="the test images by the column `split=`, if there are any",
    )
    group: str | None = text(
        None,
        "what to keep on one side of a split: a column, such as that of the patients, or a pattern of paths as in "
        "`data folder`",
        what=f"{COLUMN} or a pattern of paths",
        check=column_or_pattern,
    )
    split_seed: int = split_seed()
    orientation: str = orientation()
    background: str = background()

    def suggest(self, context: SuggestContext) -> Mapping[str, Any]:
        return suggested_by("data list", self._layout().first_images, context)

    def check(self, plan: PlanView) -> Iterable[str]:
        lists = [part for part in (self.path, self.val, self.test) if isinstance(part, str)]
        if not lists or (self.path is None and len(lists) < sum(part is not None for part in (self.val, self.test))):
            raise fail("E025", "`data list` needs a list of images", help='write a path: `data list "labels.csv"`')
        check_shares(self.val, self.test)
        yield from bounded(plan)
        yield from self._layout().doubts()

    def open(self) -> Sets:
        return sets_of(self._layout().parts(), self.size)

    def _layout(self) -> ListLayout:
        pattern = self.group if self.group is not None and "{}" in self.group else None
        column = None if pattern else self.group
        return ListLayout(
            path=self.path,
            folder=self.folder,
            val=self.val,
            test=self.test,
            columns=Columns(self.image, self.label, self.split, column),
            seed=self.split_seed,
            group=pattern,
        )

    def count_classes(self) -> int | None:
        """Return the number of classes if the list exists on this machine."""
        return self._layout().count_classes()
