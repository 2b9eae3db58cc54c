"""data folder PATH: images in folders of classes, such as PATH/train/CLASS/IMAGE and PATH/val/CLASS/IMAGE.

The folders of the training, held-out and test images may have any of their usual names: `train` or `training`, `val`,
`valid`, `validation` or `dev`, `test`, `testing`, `eval` or `evaluation`. If PATH has none of them, it has the class
folders itself. Without any held-out images, 20 % of the training images are held out. Which ones follows from a hash of
their class and name, so images that are added or removed later move no others. The last image of a class stays in
training.

Images are the files that end in .jpg, .jpeg, .jpe, .jfif, .png, .bmp, .gif, .webp, .tif, .tiff, .ppm, .pgm, .pbm, .pnm
or .avif. Everything that is ignored is reported before training.

Test images are evaluated once, at the end of a training. Nothing else looks at them.

In evaluation, the short side is resized to 256 and the center of 224 is cropped (He et al. 2019, section 2.1). Other
sizes keep this ratio.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import SUBFOLDERS, FolderLayout, Trick, choice, fail, group_pattern, share_or_path, text, trick
from recipe.api import path as folder
from recipe.tricks._files import sets_of
from recipe.tricks._image_fields import background, check_shares, on_error, orientation, size, split_seed, workers
from recipe.tricks._image_names import OF_IMAGES
from recipe.tricks._suggested import suggested_by
from recipe.tricks._suggested_rates import bounded

if TYPE_CHECKING:
    from recipe.api import PlanView, Sets, SuggestContext


@trick(
    "data folder",
    position=40,
    writes=("data",),
    known_as={"image-folder": "", "imagenet": "", "data-dir": "", "data-path": "", "dataset-folder": "", **OF_IMAGES},
)
class Folder(Trick):
    """Train on images in folders of classes, and evaluate on those that are held out.

    An evaluation needs no images to train on. A model that was trained on other images is evaluated on all images of a
    PATH that has none to hold out.

    With `on-error=skip`, an image that can't be decoded is reported and skipped. In training, its neighbor in the batch
    replaces it, so that batches keep their size.
    """

    path: str | None = folder(None, "folder that contains those of the parts, or those of the classes")
    size: int = size()
    workers: int = workers()
    on_error: str = on_error()
    train: str | None = folder(
        None,
        "folder of the training images, which has a folder for each class",
        unset="the folder of training images in PATH, or PATH",
    )
    val: float | str | None = share_or_path(
        None,
        "part of the training images to hold out, such as `10%`, or the folder of the held-out images",
        unset="the folder of held-out images in PATH, or 20 % of the training images",
    )
    test: float | str | None = share_or_path(
        None,
        "part of the training images to use only for a test at the end, or the folder of the test images",
        unset="the folder of test images in PATH, if it has one",
    )
    group: str | None = text(
        None,
        'what to keep on one side of a split, by the paths in a class folder: "{}_*" keeps images together whose names '
        'start alike up to the first `_`, "{}/*" those in a subfolder',
        what="a pattern of paths",
        check=group_pattern,
    )
    split_seed: int = split_seed()
    subfolders: str = choice(
        "join",
        "images in subfolders of a class: `join` takes them as images of the class, `classes` makes each folder with "
        "images a class, `skip` ignores them",
        of=SUBFOLDERS,
        before="skip",
    )
    orientation: str = orientation()
    background: str = background()

    def suggest(self, context: SuggestContext) -> Mapping[str, Any]:
        return suggested_by("data folder", FolderLayout.of(self).first_images, context)

    def check(self, plan: PlanView) -> Iterable[str]:
        parts = (self.val, self.test)
        folders = [value for value in (self.path, self.train, *parts) if isinstance(value, str)]
        shares = [value for value in parts if isinstance(value, float)]
        if not folders or (shares and self.path is None and self.train is None):
            raise fail("E025", "`data folder` needs a folder of images", help='write a path: `data folder "photos"`')
        check_shares(*parts)
        for name in (name for name in folders if not os.path.isdir(name)):  # Path.is_dir refuses very long names
            yield f"the folder `{name}` does not exist on this machine"
        yield from bounded(plan)

    def open(self) -> Sets:
        return sets_of(FolderLayout.of(self).parts(), self.size)

    def count_classes(self) -> int | None:
        """Return the number of classes if the folder exists on this machine."""
        return FolderLayout.of(self).count_classes()
