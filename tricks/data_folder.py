"""data folder PATH: images in folders, laid out like ImageNet: PATH/train/CLASS/IMAGE and PATH/val/CLASS/IMAGE.

In evaluation, the short side is resized to 256 and the center of 224 is cropped (He et al. 2019, section 2.1). Other
sizes keep this ratio.
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
    """Train on the images in PATH/train, which has a folder for each class, and evaluate on those in PATH/val.

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
            raise FileNotFoundError(f"no images found in `{self.path}/{part}`")
        empty = set(range(len(classes))) - {label for _, label in found}
        if empty and part == "train":
            raise FileNotFoundError(f"no images found in `{self.path}/{part}/{classes[min(empty)]}`")
        return Files(tuple(file for file, _ in found), torch.tensor([label for _, label in found]), self.size)

    def count_classes(self) -> int | None:
        """Return the number of classes if the folder exists on this machine."""
        train = Path(self.path) / "train"
        return len(_classes(train)) if os.path.isdir(train) else None


def _classes(folder: Path) -> list[str]:
    """Return the names of the class folders."""
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder `{folder}` does not exist")
    found = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not found:
        raise FileNotFoundError(f"no class folders found in `{folder}`")
    return found
