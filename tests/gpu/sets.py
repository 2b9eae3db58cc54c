"""The sets of tricks to check on a device, and the waits that are expected in a training."""

from __future__ import annotations

from collections.abc import Mapping

SETS = (
    "",
    "augment crop",
    "augment flip",
    "augment jitter contrast=0.4",
    "augment pca-noise",
    "augment erase",
    "augment erase fill=rand",
    "augment mixup 0.2",
    "augment cutmix 1.0",
    "augment trivial",
    "optimizer sgd",
    "optimizer adamw; lr 1e-4",
    "optimizer lars",
    "sam",
    "clip 0.5",
    "sam; clip 0.5; ema 0.9",
    "freeze gradual 0.0 0.9",
    "loss smooth 0.1",
    "loss bce threshold=0.2; augment mixup",
    "ema 0.99",
    "resize 0.5",
    "decay 1e-4 no-bias",
    "tweak A",
    "tweak C D",
    "tweak se 4",
    "tweak blurpool",
    "batch 16 micro 4",
)

TOGETHER = (
    "tweak C D; init zero-gamma; augment crop flip jitter pca-noise mixup; loss smooth; decay 1e-4 no-bias; ema 0.9; "
    "clip 1; lr warmup 1 cosine"
)
"""Many tricks at once, as in real recipes."""

WAITS: Mapping[str, int] = {"optimizer lars": 1}
"""Expected waits for the device in a step with a trick; none with other tricks.

LARS is not a fused optimizer, so torch's loss scaler or `recipe` checks before its step that gradients are finite.
"""

WAITS_AN_IMAGE: Mapping[str, int] = {"augment trivial": 4}
"""Expected waits for each image of a batch, at most. torchvision's TrivialAugment changes one image at a time."""


def waits(text: str, images: int) -> int:
    """Return how often a step with the tricks of a recipe may wait for the device."""
    each = images * sum(count for trick, count in WAITS_AN_IMAGE.items() if trick in text)
    return each + sum(count for trick, count in WAITS.items() if trick in text)
