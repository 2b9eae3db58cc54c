"""augment pca-noise: noise along the principal components of ImageNet's colors.

He et al. 2019, section 2.1 (Krizhevsky et al. 2012): P · (α ∘ λ) is added to each image, with α from N(0, 0.1) and the
eigenvectors P and eigenvalues λ of the covariance of ImageNet's RGB values.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import Trick, number, trick
from recipe.tricks._constants import beside

if TYPE_CHECKING:
    import torch

    from recipe.api import Draws, PlanView

EIGENVALUES = (55.46, 4.794, 1.148)  # for values in [0, 255]
EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


@trick(
    "augment pca-noise",
    position=50,
    reads=("crop",),
    writes=("inputs",),
    after=("augment jitter", "augment trivial"),
    known_as=("pca", "pca-lighting", "lighting", "alexnet-noise"),
)
class PcaNoise(Trick):
    """Add a random color along the principal components of natural images to each image."""

    deviation: float = number(0.1, "standard deviation of the coefficients", minimum=0, maximum=10)

    def check(self, plan: PlanView) -> Iterable[str]:
        if not self.deviation:
            yield "no noise is added: the deviation is 0"

    def augment(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        import torch

        return pca_noise(images, torch.from_numpy(draws.normal(3) * self.deviation).to(images, non_blocking=True))


def pca_noise(images: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Add noise with the coefficients ``alpha`` (N, 3) to images (N, 3, H, W) in [0, 1]."""
    values = beside(images, EIGENVALUES) / 255
    colours = (alpha * values) @ beside(images, EIGENVECTORS).T
    return images + colours[:, :, None, None]
