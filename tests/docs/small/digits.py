"""Cut `data digits` to its first images."""

from __future__ import annotations

import attrs

from recipe.api import InMemory, Sets
from recipe.tricks.data_digits import Digits

IMAGES = 64
"""How many training images and how many held-out images are left."""

OPEN, COUNT = Digits.open, Digits.count_images


def opened(self: Digits) -> Sets:
    sets = OPEN(self)
    train, val = (InMemory(each.pixels[:IMAGES], each.labels[:IMAGES]) for each in (sets.train, sets.val))  # type: ignore[attr-defined]
    return attrs.evolve(sets, train=train, val=val)


def counted(self: Digits) -> int:
    return IMAGES


PATCHES = {"open": opened, "count_images": counted}
