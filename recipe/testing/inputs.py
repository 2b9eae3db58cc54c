"""What the hooks of a trick are given by the checks: made up, and the same each time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from recipe.data.draws import Draws
from recipe.plugins.progress import Progress

CLASSES = 10
PROGRESS = tuple(Progress(step, 4, 8.0) for step in (0, 3, 16, 31))
"""From the first step of a training to its last."""


def draws(count: int, stream: str, step: int = 3) -> Draws:
    """The draws of a batch of so many images, whose numbers are in no order."""
    return Draws(0, 1, np.random.default_rng(0).permutation(64)[:count], step, stream)


def images(count: int, side: int) -> Tensor:
    """Images (N, 3, side, side) in [0, 1]."""
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(side))


def targets(count: int, mixed: bool = False) -> Tensor:
    """Target distributions (N, K), of one class each, or of all of them."""
    if mixed:
        return torch.rand(count, CLASSES, generator=torch.Generator().manual_seed(1)).softmax(1)
    return torch.nn.functional.one_hot(torch.arange(count) % CLASSES, CLASSES).float()


def logits(count: int, scale: float = 1.0) -> Tensor:
    """Logits (N, K)."""
    return scale * torch.randn(count, CLASSES, generator=torch.Generator().manual_seed(2))


def weights(seed: int) -> list[Tensor]:
    """Tensors of the shapes of weights, or of their gradients; the second of seed 1 is zero, as behind a zero gamma."""
    generator = torch.Generator().manual_seed(seed)
    found = [torch.randn(shape, generator=generator) for shape in ((4, 3, 3, 3), (8, 4, 1, 1), (8,), (10, 8))]
    return [torch.zeros_like(one) if seed == 1 and place == 1 else one for place, one in enumerate(found)]


class Teachers(dict[str, Callable[[Tensor], Tensor]]):
    """A teacher for whatever plan; what it says of an image follows from that alone."""

    def __missing__(self, digest: str) -> Callable[[Tensor], Tensor]:
        return lambda images: 4 * images.mean((2, 3)) @ logits(3).to(images)


TEACHERS: Mapping[str, Callable[[Tensor], Tensor]] = Teachers()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A context with other global random numbers, which leaves those of the caller as they were."""
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])
