"""The sets of tricks that a device is tried with, beside none, and what a training waits for knowingly."""

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
    "freeze 0.0 0.9",
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
"""Many tricks at once, as recipes have them."""

WAITS: Mapping[str, int] = {"optimizer lars": 1}
"""How often a step with a trick waits for the device knowingly, where that is not never.

LARS is no fused optimizer: whether gradients are finite is asked before its step, by torch's loss scaler or by us.
"""

WAITS_AN_IMAGE: Mapping[str, int] = {"augment trivial": 4}
"""The same for each image of a batch, at the most. TrivialAugment is torchvision's, which changes one at a time."""


def waits(text: str, images: int) -> int:
    """How often a step with some tricks may wait for the device, for a batch of N images."""
    each = images * sum(count for trick, count in WAITS_AN_IMAGE.items() if trick in text)
    return each + sum(count for trick, count in WAITS.items() if trick in text)
