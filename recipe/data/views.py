"""The views of an image whose predictions an evaluation averages: crops of it, and their mirror images.

Probabilities are averaged, as in Krizhevsky et al. 2012, section 4.1, not logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from recipe.data.decode import Array, Box, centre

FIVE = ("five-crop", "ten-crop")
FLIPPED = ("flip", "ten-crop")

CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
"""The place of each corner crop: the parts of the space above it and on its left."""

PLACES = ("top left", "top right", "bottom left", "bottom right")
"""Their names."""


def crops_of(views: str) -> int:
    """Return the number of crops of each image that the loader makes for these views."""
    return 1 + len(CORNERS) if views in FIVE else 1


def boxes_of(views: str, crop: float) -> tuple[Box, ...]:
    """Return the boxes of an image that are seen: the center, and then the corners, if they are."""
    center = partial(centre, crop=crop)
    return (center, *(partial(_corner, crop=crop, place=place) for place in CORNERS)) if views in FIVE else (center,)


def _corner(height: int, width: int, crop: float, place: tuple[float, float]) -> Array:
    side = min(height, width) * crop
    return np.array([(height - side) * place[0], (width - side) * place[1], side, side])


def names_of(views: str) -> tuple[str, ...]:
    """Return what each view of an image shows, in the order in which `seen` returns them: one view has no name.

    >>> names_of("flip")
    ('', 'mirrored')
    """
    crops = ("center", *PLACES) if views in FIVE else ("",)
    if views not in FLIPPED:
        return crops
    return tuple(name for crop in crops for name in (crop, f"{crop}, mirrored".removeprefix(", ")))


def seen(inputs: Tensor, views: str) -> Tensor:
    """Return all views of each image whose predictions `averaged` averages: (N, V, 3, H, W).

    ``inputs`` are the crops of each image, one after another: (N × C, 3, H, W).
    """
    if views in FLIPPED:
        inputs = torch.stack((inputs, inputs.flip(3)), 1).flatten(0, 1)
    return inputs.reshape(-1, len(names_of(views)), *inputs.shape[1:])


def averaged(model: Callable[[Tensor], Tensor], inputs: Tensor, views: str) -> Tensor:
    """Return logits (N, K) whose probabilities are the mean over the views of each image, in float32.

    Args:
        model: The model, in evaluation mode.
        inputs: The crops of each image, one after another: (N × C, 3, H, W). See `crops_of`.
        views: Which views: one of `recipe.plugins.settings.VIEWS`.
    """
    logits = model(inputs).float()
    crops = crops_of(views)
    if views in FLIPPED:
        mirrored = model(inputs.flip(3)).float()
        logits = torch.stack((logits, mirrored), 1).flatten(0, 1)
        crops *= 2
    if crops == 1:
        return logits
    each = logits.log_softmax(1).reshape(-1, crops, logits.shape[1])
    return each.logsumexp(1) - math.log(crops)
