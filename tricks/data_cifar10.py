"""data cifar10 PATH: CIFAR-10, 60,000 color images of 32 × 32 pixels in 10 classes. Krizhevsky 2009.

Nothing is downloaded. PATH must contain the published files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipe.api import SuggestContext, Trick, integer, path, trick
from recipe.tricks._image_names import OF_IMAGES

if TYPE_CHECKING:
    from recipe.api import InMemory, Sets


@trick("data cifar10", position=40, writes=("data",), known_as=OF_IMAGES, similar_to=("cifar100",))
class Cifar10(Trick):
    """Train on the training images of CIFAR-10 and evaluate on its 10,000 test images."""

    path: str = path(help="folder with the published files")
    size: int = integer(32, "height and width of the images, in pixels", minimum=8, maximum=1024)
    workers: int = integer(
        0, "processes that load batches; 0 uses the main process", minimum=0, maximum=256, result=False
    )

    def suggest(self, context: SuggestContext) -> Mapping[str, Any]:
        return {"epochs count": 30, "batch total": 128}

    def open(self) -> Sets:
        from recipe.api import in_memory

        parts = [_read(Path(self.path), part) for part in (True, False)]
        return in_memory(parts[0], parts[1], 10, self.size)

    def count_images(self) -> int:
        return 50_000

    def count_classes(self) -> int:
        return 10


def _read(folder: Path, train: bool) -> InMemory:
    """Read one part of the dataset with torchvision, which verifies the digests of the files before unpickling them."""
    import torch
    from torchvision.datasets import CIFAR10

    from recipe.api import InMemory

    try:
        found = CIFAR10(str(folder), train=train)
    except RuntimeError:
        raise FileNotFoundError(
            f"the folder `{folder / CIFAR10.base_folder}` is missing or does not contain the files of CIFAR-10"
        ) from None
    return InMemory(torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(found.targets))
