"""data hf NAME: a dataset of the Hugging Face Hub, or one of its forms in a folder, such as Parquet files.

NAME is `"OWNER/NAME"`, and `@` and a revision may follow. It is downloaded on first use. `folder=` is a folder with
Parquet files, one that `save_to_disk` wrote, or anything else that `datasets.load_dataset` reads.

Splits with the usual names, such as `train`, `validation` and `test`, are found. Without held-out images, 20 % of the
training images are held out. Which ones follows from a hash of their class and the names of their files, or the numbers
of their rows if the dataset has no names. The last image of a class stays in training.

Images are decoded when they are used, as those of `data folder` are. Test images are evaluated once, at the end of a
training. Nothing else looks at them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import FolderLayout, Trick, divided, fail, share_or_text, text, trick
from recipe.api import path as folder_path
from recipe.tricks._files import divided_sets
from recipe.tricks._hf import INSTALL, is_installed, opened, rows_in
from recipe.tricks._image_fields import (
    COLUMN,
    SPLIT,
    background,
    check_apart,
    check_shares,
    column_or_pattern,
    on_error,
    orientation,
    size,
    split_seed,
    workers,
)
from recipe.tricks._image_names import OF_IMAGES
from recipe.tricks._suggested import MOST, suggested_for
from recipe.tricks._suggested_rates import bounded

if TYPE_CHECKING:
    from recipe.api import PlanView, Sets, SuggestContext

ON_HUB = 10_000
"""The number of images that a dataset of the Hub is taken to have for suggestions, whether it is downloaded or not."""


def _repository(text: str) -> None:
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?", text, re.ASCII) or text.startswith("."):
        raise ValueError('a dataset is "OWNER/NAME", and a folder is `folder="PATH"`')


@trick(
    "data hf",
    position=40,
    writes=("data",),
    known_as={"hfds": "", "huggingface": "", "hugging-face": "", "parquet": "", "load-dataset": "", **OF_IMAGES},
)
class HuggingFace(Trick):
    """Train on images of a dataset of Hugging Face, and evaluate on those that are held out.

    Needs the extra `hf`. An evaluation needs no images to train on. A model that was trained on other images is
    evaluated on all images of a dataset that has none to hold out.
    """

    repository: str | None = text(None, "name on the Hub", what="the name of a dataset", check=_repository)
    folder: str | None = folder_path(None, "folder of a dataset, instead of a name")
    config: str | None = text(None, "configuration of the dataset, if it has several", what="a name")
    size: int = size()
    workers: int = workers()
    on_error: str = on_error()
    image: str | None = text(None, "column of the images", what=COLUMN, unset="the only column of images")
    label: str | None = text(
        None, "column of the labels", what=COLUMN, unset="the column of classes, or one with a usual name"
    )
    train: str | None = text(None, "split of the training images", what=SPLIT, unset="`train`, or the only split")
    val: float | str | None = share_or_text(
        None,
        "part of the training images to hold out, such as `10%`, or the split of the held-out images",
        what=SPLIT,
        unset="`validation`, or 20 % of the training images",
    )
    test: float | str | None = share_or_text(
        None,
        "part of the training images to use only for a test at the end, or the split of the test images",
        what=SPLIT,
        unset="`test`, if there is such a split",
    )
    group: str | None = text(
        None,
        "what to keep on one side of a split: a column, or a pattern of the names of files as in `data folder`",
        what=f"{COLUMN} or a pattern of names",
        check=column_or_pattern,
    )
    split_seed: int = split_seed()
    orientation: str = orientation()
    background: str = background()

    def suggest(self, context: SuggestContext) -> Mapping[str, Any]:
        count = ON_HUB if self.folder is None else rows_in(self.folder) or self._count_files()
        return suggested_for("data hf", count, context)

    def check(self, plan: PlanView) -> Iterable[str]:
        if (self.repository is None) == (self.folder is None):
            help = 'write a name, `data hf "OWNER/NAME"`, or a folder, `data hf folder="PATH"`'
            raise fail("E025", "`data hf` needs either a name or a folder", help=help)
        check_shares(self.val, self.test)
        check_apart(train=self.train, val=self.val, test=self.test)
        yield from bounded(plan)
        if not is_installed():
            yield f"the package `datasets` is not installed: {INSTALL}"
        if self.folder is not None and not os.path.isdir(self.folder):
            yield f"the folder `{self.folder}` does not exist on this machine"

    def open(self) -> Sets:
        from recipe.tricks._hf_columns import Stated, columns_of

        parts = {"train": self.train, "val": self.val, "test": self.test}
        pattern = self.group if self.group is not None and "{}" in self.group else None
        splits = {part: name for part, name in parts.items() if isinstance(name, str)}
        shares = {part: share for part, share in parts.items() if isinstance(share, float)}
        group = None if pattern else self.group
        stated = Stated(splits=splits, shared=shares, image=self.image, label=self.label, group=group)
        dataset = opened(self.repository, self.folder, self.config)
        columns = columns_of(dataset, stated, self.folder)
        division = divided(columns.labeled, shares, self.split_seed, pattern)
        notes = (*dataset.notes, *columns.notes)
        return divided_sets(division, columns.labeled, columns.images, columns.classes, self.size, notes)

    def _count_files(self) -> int:
        """Return the number of images in folders of classes, which the library also reads."""
        layout = FolderLayout(path=self.folder, train=None, val=None, test=None, seed=0, group=None, subfolders="join")
        return len(layout.first_images(MOST + 1))
