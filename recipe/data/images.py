"""Images for training and evaluation, as uint8."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import attrs
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from recipe.data.decode import decode
from recipe.data.draws import Draws

Array = npt.NDArray[np.float64]
Boxer = Callable[[Draws, Array, Array], Array]
"""From draws, heights and widths (N,) to boxes (N, 4): top, left, height, width, in pixels."""

IMAGENET_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
IMAGENET_STD = (58.393 / 255, 57.12 / 255, 57.375 / 255)


@runtime_checkable
class Images(Protocol):
    """A set of labelled images: what `open` gives for training, and for evaluation."""

    @property
    def labels(self) -> Tensor:
        """Class numbers: int64 (N,)."""

    @property
    def uniform(self) -> bool:
        """Whether all images have one size, and are cropped on the device."""

    def fetch(self, indices: npt.NDArray[np.int64], boxer: Callable[[int, int, int], Array] | None) -> Tensor:
        """The images with these numbers: uint8 (N, 3, H, W).

        ``boxer`` gives the box of one image by its position in ``indices`` and its height and width: (4,) of top, left,
        height and width, in pixels, to be cut out and scaled to the size of the set. Without one, in evaluation and
        where no trick crops, the image is taken whole. A uniform set leaves it unused.
        """


@attrs.frozen
class Sets:
    """The parts of a data set, and the channel means and deviations that inputs are normalised by, in units of 255.

    ``train`` is trained on, ``val`` evaluated during the training. ``test`` is a third part, kept for splits to come:
    nothing reads it yet. ``names`` are those of the classes, in the order of their numbers, where they have any.
    """

    train: Images
    val: Images
    test: Images | None = attrs.field(default=None, kw_only=True)
    classes: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    names: tuple[str, ...] = ()


@attrs.frozen(eq=False)
class InMemory:
    """Images of one size, decoded, in memory: uint8 (N, 3, H, W), with int64 labels (N,)."""

    pixels: Tensor
    labels: Tensor
    uniform: bool = True

    def fetch(self, indices: npt.NDArray[np.int64], boxer: Callable[[int, int, int], Array] | None) -> Tensor:
        return self.pixels[torch.from_numpy(indices)]


@attrs.frozen(eq=False)
class Files:
    """Image files, decoded when they are fetched: cropped to their box, or else resized and centred."""

    paths: tuple[Path, ...]
    labels: Tensor
    size: int
    uniform: bool = False

    def fetch(self, indices: npt.NDArray[np.int64], boxer: Callable[[int, int, int], Array] | None) -> Tensor:
        boxes = (None if boxer is None else partial(boxer, position) for position in range(len(indices)))
        pixels = (decode(self.paths[index], self.size, box) for index, box in zip(indices, boxes, strict=True))
        return torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in pixels])


def in_memory(train: InMemory, val: InMemory, classes: int, size: int) -> Sets:
    """Sets of images that fit in memory, resized to size × size, normalised by the training images' statistics."""
    resized = [attrs.evolve(part, pixels=resize(part.pixels, size)) for part in (train, val)]
    total, squares, count = torch.zeros(3).double(), torch.zeros(3).double(), 0
    for part in torch.split(resized[0].pixels, 1024):
        values = part.double() / 255
        total, squares = total + values.sum((0, 2, 3)), squares + values.square().sum((0, 2, 3))
        count += values[:, 0].numel()
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(1e-6).sqrt()
    return Sets(resized[0], resized[1], classes, tuple(mean.tolist()), tuple(std.tolist()))


def unfit(sets: Sets) -> str | None:
    """What is wrong with sets that a trick made; None where nothing is."""
    parts: dict[str, Any] = {"train": sets.train, "val": sets.val}
    if sets.test is not None:
        parts["test"] = sets.test
    for name, part in parts.items():
        if not isinstance(part, Images):
            missing = next(member for member in ("labels", "uniform", "fetch") if not hasattr(part, member))
            return f"`{name}` of its Sets, a {type(part).__name__}, has no `{missing}`"
        labels = part.labels
        if not (isinstance(labels, Tensor) and labels.dtype is torch.int64 and labels.ndim == 1):
            kind = f"{labels.dtype} {(*labels.shape,)}" if isinstance(labels, Tensor) else type(labels).__name__
            return f"the labels of `{name}` are {kind}, not torch.int64 (N,)"
    classes: Any = sets.classes
    if not isinstance(classes, int):
        return f"the classes of its Sets are {classes!r:.60}, not their number"
    if not len(sets.mean) == len(sets.std) == 3:
        return "mean and std of its Sets are not of three channels"
    return None


def resize(pixels: Tensor, size: int) -> Tensor:
    """uint8 images (N, 3, H, W) resized to size × size, bilinear."""
    if pixels.shape[-2:] == (size, size):
        return pixels
    parts = [
        F.interpolate(part.float(), (size, size), mode="bilinear", antialias=True).round().clamp(0, 255).byte()
        for part in torch.split(pixels, 4096)
    ]
    return torch.cat(parts)


def crop(images: Tensor, boxes: Array) -> Tensor:
    """Crop each image (N, C, H, W) to its own box (N, 4) of top, left, height, width in pixels, scaled to H × W."""
    corners, sides = np.split(boxes.astype(np.float32), 2, 1)
    whole = np.array(images.shape[-2:], np.float32)
    scale, middle = sides / whole, (2 * corners + sides) / whole - 1
    theta = np.zeros((len(boxes), 2, 3), np.float32)
    theta[:, (1, 0), (1, 0)], theta[:, (1, 0), 2] = scale, middle
    placed = torch.from_numpy(theta).to(images, non_blocking=True)
    grid = F.affine_grid(placed, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
