"""augment flip: mirror images horizontally, with probability 0.5. He et al. 2019, section 2.1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Trick, number, trick

if TYPE_CHECKING:
    import torch

    from recipe.api import Draws, PlanView


@trick(
    "augment flip",
    position=50,
    writes=("inputs",),
    known_as=("hflip", "horizontal-flip", "random-horizontal-flip", "fliplr", "mirror"),
    similar_to=("vflip", "vertical-flip"),
)
class Flip(Trick):
    """Mirror each image horizontally with some probability."""

    probability: float = number(0.5, "probability of mirroring", minimum=0, maximum=1)

    def check(self, plan: PlanView) -> Iterable[str]:
        if not self.probability:
            yield "no image is mirrored: the probability is 0"

    def augment(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        import torch

        flipped = torch.from_numpy(draws.uniform()[:, 0] < self.probability).to(images.device, non_blocking=True)
        return torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)
