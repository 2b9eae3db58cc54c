"""Made-up inputs that the checks pass to the hooks of a trick, the same each time."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from recipe.base.channels import RGB
from recipe.data.draws import Draws, Floats
from recipe.plugins.contexts import LossContext, Teach
from recipe.plugins.progress import Progress
from recipe.testing.models import traced
from recipe.training.objective import cross_entropy

CLASSES = 10
PROGRESS = tuple(Progress(step, 4, 8.0) for step in (0, 3, 16, 31))
"""From the first training step to the last."""


def _seed(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, side: int, channels: int = RGB) -> Tensor:
    """Return images (N, C, side, side) in [0, 1]."""
    return torch.rand(count, channels, side, side, generator=_seed(side))


def logits(count: int) -> Tensor:
    """Return logits (N, K)."""
    return torch.randn(count, CLASSES, generator=_seed(2))


def weights(seed: int) -> list[Tensor]:
    """Return tensors shaped like weights or gradients. With seed 1, the second is all zeros, as behind a zero gamma."""
    generator = _seed(seed)
    drawn = [torch.randn(shape, generator=generator) for shape in ((4, 3, 3, 3), (8, 4, 1, 1), (8,), (10, 8))]
    return [torch.zeros_like(weight) if seed == 1 and place == 1 else weight for place, weight in enumerate(drawn)]


_LAYER = torch.randn(CLASSES, 32, generator=_seed(4))
"""The weights of a made-up layer, whose output depends on logits."""


class _Taught:
    """A made-up teacher. Each row of its outputs depends only on its own image."""

    def __call__(self, inputs: Tensor) -> Tensor:
        return 4 * inputs.mean((2, 3)) @ logits(3).to(inputs)

    def features(self, inputs: Tensor, address: str) -> Tensor:
        return Features(self(inputs))[address]


TEACHERS: Teach = defaultdict(_Taught)
"""A teacher for any plan."""


class Features(dict[str, Tensor]):
    """Outputs of any layer (N, 8, 2, 2), each row computed from the logits of its own image."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    def __contains__(self, address: object) -> bool:
        return True

    def __missing__(self, address: str) -> Tensor:
        return (self.logits @ _LAYER.to(self.logits)).reshape(-1, 8, 2, 2)


@attrs.frozen
class Batch:
    """A batch, or the images at some ``places`` in it. Every access creates new tensors."""

    word: str
    """The words of the trick that receives the batch, which select its random draws."""
    count: int = 8
    side: int = 32
    mixed: bool = False
    """Whether each target covers all classes instead of one."""
    scale: float = 1.0
    """A factor applied to the logits."""
    differentiable: bool = False
    """Whether the logits require gradients."""
    progress: Progress = PROGRESS[0]
    device: str = "cpu"
    places: slice | list[int] = slice(None)

    def _at_places(self, whole: Tensor) -> Tensor:
        return whole[self.places].to(self.device)

    @property
    def images(self) -> Tensor:
        return self._at_places(images(self.count, self.side))

    @property
    def targets(self) -> Tensor:
        """Target distributions (N, K)."""
        if self.mixed:
            return self._at_places(torch.rand(self.count, CLASSES, generator=_seed(1)).softmax(1))
        return self._at_places(torch.nn.functional.one_hot(torch.arange(self.count) % CLASSES, CLASSES).float())

    @property
    def logits(self) -> Tensor:
        return self._at_places(self.scale * logits(self.count)).requires_grad_(self.differentiable)

    @property
    def sizes(self) -> tuple[Floats, Floats]:
        """Heights and widths of the images before cropping."""
        heights = np.resize([32.0, 20.0, 64.0, 8.0], self.count)
        widths = np.resize([32.0, 64.0, 20.0, 300.0], self.count)
        return heights[self.places], widths[self.places]

    @property
    def context(self) -> LossContext:
        logits, targets = self.logits, self.targets
        main = cross_entropy(logits, targets)
        return LossContext(logits, targets, self.images, main, TEACHERS, Features(logits))

    def draws(self, stream: str) -> Draws:
        """Return the random draws for images numbered in random order."""
        return Draws(0, 1, np.random.default_rng(0).permutation(64)[: self.count][self.places], 3, stream)

    def weights(self, seed: int) -> list[Tensor]:
        return [weight.to(self.device) for weight in weights(seed)]


ARGUMENTS: Mapping[str, Callable[[Batch], tuple[Any, ...]]] = {
    "epoch_order": lambda batch: (np.arange(batch.count) % 3, batch.draws("order")),
    "crop_box": lambda batch: (batch.draws("crop"), *batch.sizes),
    "augment": lambda batch: (batch.images, batch.draws(batch.word)),
    "smooth_targets": lambda batch: (batch.targets,),
    "mix": lambda batch: (batch.images, batch.targets, batch.draws(batch.word)),
    "resolution": lambda batch: (batch.side, batch.progress),
    "frozen": lambda batch: (traced("small", batch.side), batch.progress),
    "loss": lambda batch: (batch.logits, batch.targets),
    "loss_term": lambda batch: (batch.context,),
    "lr_factor": lambda batch: (batch.progress,),
    "adjust": lambda batch: (batch.weights(1), batch.weights(0), batch.progress),
    "perturb": lambda batch: (batch.weights(0), batch.weights(1)),
    "average": lambda batch: (batch.weights(2), batch.weights(0), batch.progress),
}
"""The arguments for each hook that is called in a training step."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global random number generators within a context, and restore the caller's state afterwards."""
    kept = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(kept[0])
            random.setstate(kept[1])
