"""data folder PATH: images in folders, as ImageNet is kept: PATH/train/CLASS/IMAGE and PATH/val/CLASS/IMAGE.

For evaluation the short side is resized to 256 and the centre of 224 cropped (He et al. 2019, section 2.1), and in that
proportion for other sizes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from recipe.api import Trick, choice, integer, path, trick

if TYPE_CHECKING:
    from recipe.api import Files, PlanView, Sets

ENDINGS = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"))


@trick("data folder", position=40, writes=("data",))
class Folder(Trick):
    """Train on the images in PATH/train, a folder for each class, and evaluate on those in PATH/val.

    With `on-error=skip`, an image that can't be decoded is named and passed over: in training its neighbour in the
    batch stands in for it, so that batches keep their size.
    """

    path: str = path(help="folder that holds `train` and `val`")
    size: int = integer(224, "height and width of the network's input, in pixels", minimum=8, maximum=1024)
    workers: int = integer(4, "processes that decode images ahead; 0 decodes them in place", minimum=0, maximum=256)
    on_error: str = choice("fail", "what an image that can't be decoded does", of=("fail", "skip"))

    def check(self, plan: PlanView) -> Iterable[str]:
        if not os.path.isdir(self.path):  # unlike Path's, it takes names that are too long
            yield f"there is no folder `{self.path}` here"

    def open(self) -> Sets:
        from recipe.api import Sets

        classes = _classes(Path(self.path) / "train")
        held_out = _classes(Path(self.path) / "val")
        if unknown := sorted(set(held_out) - set(classes)):
            raise FileNotFoundError(f"the class `{unknown[0]}` of `{self.path}/val` has no folder in `train`")
        parts = [self._files(part, classes) for part in ("train", "val")]
        return Sets(parts[0], parts[1], len(classes), names=tuple(classes))

    def _files(self, part: str, classes: list[str]) -> Files:
        import torch

        from recipe.api import Files

        found = [
            (file, label)
            for label, name in enumerate(classes)
            for file in sorted((Path(self.path) / part / name).glob("*"))
            if file.suffix.lower() in ENDINGS and file.is_file()
        ]
        if not found:
            raise FileNotFoundError(f"there is no image in `{self.path}/{part}`")
        empty = set(range(len(classes))) - {label for _, label in found}
        if empty and part == "train":
            raise FileNotFoundError(f"there is no image in `{self.path}/{part}/{classes[min(empty)]}`")
        return Files(tuple(file for file, _ in found), torch.tensor([label for _, label in found]), self.size)

    def count_classes(self) -> int | None:
        """The number of classes, where the folder is here."""
        train = Path(self.path) / "train"
        return len(_classes(train)) if os.path.isdir(train) else None


def _classes(folder: Path) -> list[str]:
    """The names of the class folders."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder `{folder}`")
    found = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not found:
        raise FileNotFoundError(f"there is no class folder in `{folder}`")
    return found
