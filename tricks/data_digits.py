"""data digits: scikit-learn's 1,797 handwritten digits of 8 × 8 pixels, real images that need no download.

E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998. Every fifth
image of each class is held out for evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recipe.api import SuggestContext, Trick, integer, trick
from recipe.tricks._image_names import OF_IMAGES

if TYPE_CHECKING:
    from recipe.api import Sets


@trick("data digits", position=40, writes=("data",), known_as=OF_IMAGES, similar_to=("mnist",))
class Digits(Trick):
    """Train on 1,442 handwritten digits that come with scikit-learn, and evaluate on the other 355.

    Suggests ``epochs 10``, ``batch 64`` and ``lr 0.05``.
    """

    size: int = integer(32, "height and width of the images, in pixels", minimum=8, maximum=1024)
    workers: int = integer(
        0, "processes that load batches; 0 uses the main process", minimum=0, maximum=256, result=False
    )

    def suggest(self, context: SuggestContext) -> Mapping[str, Any]:
        """Suggest small batches and few epochs, which work well for such a small dataset."""
        return {"epochs count": 10, "batch total": 64, "lr rate": 0.05}

    def open(self) -> Sets:
        import numpy as np
        import torch
        from sklearn.datasets import load_digits

        from recipe.api import InMemory, in_memory

        found = load_digits()
        pixels = torch.from_numpy(np.rint(found.images * (255 / 16)).astype(np.uint8))
        pixels = pixels[:, None].expand(-1, 3, -1, -1).contiguous()
        labels = torch.from_numpy(found.target.astype(np.int64))
        test = torch.zeros(len(labels), dtype=torch.bool)
        for label in range(10):
            test[torch.nonzero(labels == label)[4::5, 0]] = True
        train, held_out = InMemory(pixels[~test], labels[~test]), InMemory(pixels[test], labels[test])
        return in_memory(train, held_out, 10, self.size)

    def count_images(self) -> int:
        return 1442

    def count_classes(self) -> int:
        return 10
