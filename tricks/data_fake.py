"""data fake: random images with random labels, for trying or timing a recipe. Nothing can be learned from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipe.api import Trick, integer, trick
from recipe.tricks._image_names import OF_IMAGES

if TYPE_CHECKING:
    from recipe.api import Sets


@trick("data fake", position=40, writes=("data",), known_as=OF_IMAGES)
class Fake(Trick):
    """Train on random pixels with random labels, the same in every run."""

    size: int = integer(224, "height and width of the images, in pixels", minimum=8, maximum=1024)
    classes: int = integer(1000, "number of classes", minimum=2, maximum=100_000)
    images: int = integer(1024, "training images; an eighth of that number is held out", minimum=8, maximum=1_000_000)
    workers: int = integer(
        0, "processes that load batches; 0 uses the main process", minimum=0, maximum=256, result=False
    )

    def open(self) -> Sets:
        import torch

        from recipe.api import InMemory, Sets

        generator = torch.Generator().manual_seed(0)

        def part(count: int) -> InMemory:
            pixels = torch.randint(0, 256, (count, 3, self.size, self.size), generator=generator, dtype=torch.uint8)
            return InMemory(pixels, torch.randint(0, self.classes, (count,), generator=generator))

        return Sets(part(self.images), part(self.images // 8), self.classes)

    def count_images(self) -> int:
        return self.images

    def count_classes(self) -> int:
        return self.classes
