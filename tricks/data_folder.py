"""data folder PATH: images in folders, laid out like ImageNet: PATH/train/CLASS/IMAGE and PATH/val/CLASS/IMAGE.

Images are the files that end in .jpg, .jpeg, .jpe, .jfif, .png, .bmp, .gif, .webp, .tif, .tiff, .ppm, .pgm, .pbm, .pnm
or .avif. Everything that is ignored is reported before training.

In evaluation, the short side is resized to 256 and the center of 224 is cropped (He et al. 2019, section 2.1). Other
sizes keep this ratio.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from recipe.api import Trick, choice, class_folders, find_images, integer, path, trick
from recipe.tricks._image_names import OF_IMAGES

if TYPE_CHECKING:
    from recipe.api import Files, FoundImages, PlanView, Sets


@trick(
    "data folder",
    position=40,
    writes=("data",),
    known_as={"image-folder": "", "imagenet": "", "data-dir": "", "data-path": "", "dataset-folder": "", **OF_IMAGES},
)
class Folder(Trick):
    """Train on the images in PATH/train, which has a folder for each class, and evaluate on those in PATH/val.

    An evaluation needs no images to train on: PATH can also be a folder with a folder for each class.

    With `on-error=skip`, an image that can't be decoded is reported and skipped. In training, its neighbor in the batch
    replaces it, so that batches keep their size.
    """

    path: str = path(help="folder that contains `train` and `val`")
    size: int = integer(224, "height and width of the network's input, in pixels", minimum=8, maximum=1024)
    workers: int = integer(
        4, "processes that decode images; 0 uses the main process", minimum=0, maximum=256, result=False
    )
    on_error: str = choice("fail", "what to do if an image can't be decoded", of=("fail", "skip"))

    def check(self, plan: PlanView) -> Iterable[str]:
        if not os.path.isdir(self.path):  # unlike Path.is_dir, it accepts names that are too long
            yield f"the folder `{self.path}` does not exist on this machine"

    def open(self) -> Sets:
        from recipe.api import Sets

        root = Path(self.path)
        if not os.path.isdir(root / "train"):
            return self._held_out(root / "val" if os.path.isdir(root / "val") else root)
        classes = class_folders(root / "train")
        held_out = class_folders(root / "val")
        if unknown := sorted(set(held_out) - set(classes)):
            raise FileNotFoundError(f"the class `{unknown[0]}` of `{self.path}/val` has no folder in `train`")
        found = [find_images(root / part, classes) for part in ("train", "val")]
        train, val = (self._files(part, images) for part, images in zip(("train", "val"), found, strict=True))
        notes = tuple(note for images in found for note in images.notes)
        if lacking := sorted({*range(len(classes))} - {*found[0].labels}):
            where = f"{self.path}/train/{classes[lacking[0]]}"
            raise FileNotFoundError("; ".join((f"no images found in `{where}`", *found[0].notes)))
        return Sets(train, val, len(classes), names=tuple(classes), notes=notes)

    def _held_out(self, folder: Path) -> Sets:
        """Return the images in a folder of classes, of which none are for training."""
        from recipe.api import FoundImages, Sets

        missing = f"the folder `{self.path}/train` does not exist"
        if not os.path.isdir(self.path):
            raise FileNotFoundError(missing)
        classes = class_folders(folder)
        found = find_images(folder, classes)
        if not found.files:
            raise FileNotFoundError(f"{missing}, and the folders in `{folder}` have no images")
        notes = (f"all images of `{folder}` are held out: it has no images to train on", *found.notes)
        none = self._images(FoundImages((), (), (), ()))
        return Sets(none, self._files(folder.name, found), len(classes), names=tuple(classes), notes=notes)

    def _files(self, part: str, found: FoundImages) -> Files:
        if not found.files:
            raise FileNotFoundError("; ".join((f"no images found in `{self.path}/{part}`", *found.notes)))
        if found.empty and self.on_error == "fail":
            more = f", like {len(found.empty) - 1} more" if len(found.empty) > 1 else ""
            raise ValueError(f"the image `{found.empty[0]}` is an empty file{more}")
        return self._images(found)

    def _images(self, found: FoundImages) -> Files:
        import torch

        from recipe.api import Files

        return Files(found.files, torch.tensor(found.labels, dtype=torch.int64), self.size)

    def count_classes(self) -> int | None:
        """Return the number of classes if the folder exists on this machine."""
        train = Path(self.path) / "train"
        return len(class_folders(train)) if os.path.isdir(train) else None
