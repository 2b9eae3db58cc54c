"""Images for training and evaluation as uint8 tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast, runtime_checkable

import attrs
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from recipe.base.plain_numbers import plain_numbers
from recipe.base.wording import plural
from recipe.data.appearance import VIEWED, Appearance
from recipe.data.decode import CROP, decode, whole
from recipe.data.draws import Draws
from recipe.data.encoded import ImageSource
from recipe.data.fingerprint import Fingerprint
from recipe.data.folders import FoundImages
from recipe.data.views import boxes_of, crops_of

Array = npt.NDArray[np.float64]
Boxer = Callable[[Draws, Array, Array], Array]
"""A function from draws, heights and widths (N,) to boxes (N, 4): top, left, height and width in pixels."""

IMAGENET_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
IMAGENET_STD = (58.393 / 255, 57.12 / 255, 57.375 / 255)


@runtime_checkable
class Images(Protocol):
    """A set of labeled images for training or evaluation, as returned by the hook `open`."""

    @property
    def labels(self) -> Tensor:
        """The class indices: int64 (N,)."""

    @property
    def uniform(self) -> bool:
        """Whether all images have the same size and are cropped on the device."""

    def fetch(self, indices: npt.NDArray[np.int64], boxer: Callable[[int, int, int], Array] | None) -> Tensor:
        """Return the images with these indices: uint8 (N, 3, H, W).

        ``boxer`` maps an image's position in ``indices``, height and width to the box to crop and scale to the set's
        image size: (4,) of top, left, height and width in pixels. It is None in evaluation and if no trick crops; then
        use the whole image. A uniform set ignores it.
        """


@attrs.frozen
class Sets:
    """The parts of a dataset, its classes, and the numbers that normalize its images."""

    train: Images
    """The images to train on."""
    val: Images
    """The images to evaluate on during training."""
    test: Images | None = attrs.field(default=None, kw_only=True)
    """The images to evaluate on only once, at the end of training, or None."""
    external: Images | None = attrs.field(default=None, kw_only=True)
    """The images that a model which was trained on others is evaluated on, or None for those of ``val``.

    For a dataset without held-out images of its own, from which ``val`` is only split off, these are all images.
    """
    classes: int = attrs.field(converter=plain_numbers)
    """The number of classes."""
    mean: tuple[float, ...] = attrs.field(default=IMAGENET_MEAN, converter=plain_numbers)
    """The mean of each of the three channels, for pixels in [0, 1]. The default is that of ImageNet."""
    std: tuple[float, ...] = attrs.field(default=IMAGENET_STD, converter=plain_numbers)
    """The standard deviation of each of the three channels, for pixels in [0, 1]. The default is that of ImageNet."""
    names: tuple[str, ...] = attrs.field(default=(), converter=plain_numbers)
    """The class names in the order of their indices, or empty."""
    notes: tuple[str, ...] = attrs.field(default=(), converter=plain_numbers)
    """What the user should know about the images, such as those that were ignored: printed before training, and in the
    ``notes`` of `summary.json`."""
    fault: OSError | None = attrs.field(default=None, kw_only=True)
    """Why they can't be used, with what to do as its note. A look at the dataset reports it next to all else."""


@attrs.frozen(eq=False)
class InMemory:
    """Decoded images of one size in memory."""

    pixels: Tensor
    """The images: uint8 (N, 3, H, W)."""
    labels: Tensor
    """The class indices: int64 (N,)."""
    uniform: bool = True
    """Whether all images have the same size and are cropped on the device."""
    crops: int = 1
    """The number of crops of each image, which follow one another in ``pixels``."""
    original: Tensor | None = attrs.field(default=None, repr=False)
    """The images before they were resized, uint8 (N, 3, H, W), or None if they weren't."""
    unboxed: Tensor | None = attrs.field(default=None, repr=False)
    """The images to return without a box, uint8 (N, 3, H, W), or None for ``pixels``."""
    fingerprint: Fingerprint | None = attrs.field(default=None, repr=False)
    """That of the images as the dataset has them, if a recipe's `input` or `evaluation` has changed these."""

    def fetch(self, indices: npt.NDArray[np.int64], boxer: Callable[[int, int, int], Array] | None) -> Tensor:
        """Return the images with these indices: uint8 (N × crops, 3, H, W). Their boxes are cropped on the device."""
        if self.crops > 1:
            indices = (indices[:, None] * self.crops + np.arange(self.crops)).reshape(-1)
        pixels = self.pixels if boxer is not None or self.unboxed is None else self.unboxed
        return pixels[torch.from_numpy(indices)]


@attrs.frozen(eq=False)
class Files:
    """Image files that are decoded when fetched, cropped to their box or by default to their center, and resized."""

    paths: tuple[ImageSource, ...]
    """The path of each image, or what it is in a larger file."""
    labels: Tensor
    """The class indices: int64 (N,)."""
    size: int
    """The height and width of the images that `fetch` returns, in pixels."""
    uniform: bool = False
    """Whether all images have the same size and are cropped on the device."""
    crop: float | None = CROP
    """Without a box, the side of the centered square, as a part of the short side, or None for the whole image."""
    interpolation: str = "bilinear"
    """How the images are resized."""
    views: str = "single"
    """Without a box, which views of each image are returned, one after another. See `recipe.data.views`."""
    appearance: Appearance = VIEWED
    """How the images look before they are cropped."""

    @classmethod
    def of(cls, found: FoundImages, size: int) -> Files:
        """Return the images that were found in folders."""
        return cls(found.files, torch.tensor(found.labels, dtype=torch.int64), size)

    @property
    def crops(self) -> int:
        """The number of crops of each image that `fetch` returns without a box."""
        return crops_of(self.views)

    def fetch(self, indices: npt.NDArray[np.int64], boxer: Callable[[int, int, int], Array] | None) -> Tensor:
        """Return the images with these indices: uint8 (N × crops, 3, size, size). ``boxer`` is as in `Images.fetch`."""
        if boxer is None and self.crop is None:
            squash = partial(squashed, size=self.size, interpolation=self.interpolation, appearance=self.appearance)
            return torch.cat([squash(self.paths[index]) for index in indices])
        read = partial(
            decode,
            size=self.size,
            interpolation=self.interpolation,
            neighbors=boxer is None,
            appearance=self.appearance,
        )
        pixels, seen = [], () if self.crop is None else boxes_of(self.views, self.crop)
        for position, index in enumerate(indices):
            for box in seen if boxer is None else (partial(boxer, position),):
                pixels.append(read(self.paths[index], box=box))
        return torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in pixels])


def in_memory(
    train: InMemory,
    val: InMemory,
    classes: int,
    size: int,
    *,
    test: InMemory | None = None,
    external: InMemory | None = None,
    names: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Sets:
    """Resize images in memory to size × size pixels and return them with the training images' mean and deviation.

    Without training images, these are those of ``val``. The other arguments are as in `Sets`. A set that is given twice
    is resized once.
    """
    parts = {"train": train, "val": val, "test": test, "external": external}
    each = {
        id(part): attrs.evolve(part, pixels=pixels, original=None if pixels is part.pixels else part.pixels)
        for part in parts.values()
        if part is not None
        for pixels in (resize(part.pixels, size),)
    }
    resized = {name: each[id(part)] for name, part in parts.items() if part is not None}
    total, squares, count = torch.zeros(3).double(), torch.zeros(3).double(), 0
    for part in torch.split(resized["train" if len(train.labels) else "val"].pixels, 1024):
        values = part.double() / 255
        total, squares = total + values.sum((0, 2, 3)), squares + values.square().sum((0, 2, 3))
        count += values[:, 0].numel()
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(1e-6).sqrt()
    return Sets(
        resized["train"],
        resized["val"],
        test=resized.get("test"),
        external=resized.get("external"),
        classes=classes,
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        names=names,
        notes=notes,
    )


def unfit(sets: Sets, size: int) -> str | None:
    """Return what is wrong with the sets that a trick with this ``size`` returned, or None if they are valid."""
    parts: dict[str, Any] = {"train": sets.train, "val": sets.val}
    parts |= {name: part for name in ("test", "external") if (part := getattr(sets, name)) is not None}
    wrong = (_unfit_part(f"`Sets.{name}`", part, size) for name, part in parts.items())
    return next(filter(None, wrong), None) or _unfit_classes(sets) or _unfit_scale(sets)


def _unfit_part(name: str, part: Any, size: int) -> str | None:
    if not isinstance(part, Images):
        missing = next(member for member in ("labels", "uniform", "fetch") if not hasattr(part, member))
        return f"{name} is of type {type(part).__name__}, which has no `{missing}`"
    labels = part.labels
    if not (isinstance(labels, Tensor) and labels.dtype is torch.int64 and labels.ndim == 1):
        kind = f"{labels.dtype} {(*labels.shape,)}" if isinstance(labels, Tensor) else type(labels).__name__
        return f"the labels of {name} must be torch.int64 (N,), not {kind}"
    images: Any = part.pixels if isinstance(part, InMemory) else part.paths if isinstance(part, Files) else labels
    if isinstance(part, InMemory) and not (
        isinstance(images, Tensor) and images.dtype is torch.uint8 and images.ndim == 4 and images.shape[1] == 3
    ):
        kind = f"{images.dtype} {(*images.shape,)}" if isinstance(images, Tensor) else type(images).__name__
        return f"the pixels of {name} must be torch.uint8 (N, 3, H, W), not {kind}"
    if len(images) != len(labels):
        return f"{name} has {plural(len(images), 'image')} but {plural(len(labels), 'label')}"
    sides = (*images.shape[2:],) if isinstance(part, InMemory) else (part.size,) * 2 if isinstance(part, Files) else ()
    if sides and sides != (size, size):  # the others are checked when they are fetched
        return f"the images of {name} have {sides[0]}×{sides[1]} pixels, but its `size` is {size}"
    return None


def _unfit_classes(sets: Sets) -> str | None:
    classes, names, notes = (cast(Any, value) for value in (sets.classes, sets.names, sets.notes))
    if not isinstance(classes, int) or isinstance(classes, bool):
        return f"`Sets.classes` must be the number of classes, not {classes!r:.60}"
    for field, texts in (("names", names), ("notes", notes)):
        if not isinstance(texts, tuple) or not all(isinstance(text, str) for text in texts):
            return f"`Sets.{field}` must be a tuple of strings, not {texts!r:.60}"
    if names and len(names) != classes:
        return f"`Sets.names` has {plural(len(names), 'name')}, but `Sets.classes` is {classes}"
    if len(set(names)) < len(names):
        return f"`Sets.names` has the name {next(name for name in names if names.count(name) > 1)!r:.60} twice"
    return None


def _unfit_scale(sets: Sets) -> str | None:
    for name in ("mean", "std"):
        values: Any = getattr(sets, name)
        try:
            channels = [math.fsum((value,)) for value in values]  # no strings, unlike float
        except (TypeError, ValueError):
            return f"`Sets.{name}` must be three numbers, not {values!r:.60}"
        if len(channels) != 3:
            return "`Sets.mean` and `Sets.std` must have three channels"
        if not all(map(math.isfinite, channels)) or (name == "std" and min(channels) <= 0):
            wanted = "finite" if name == "mean" else "finite and greater than 0"
            return f"`Sets.{name}` must be {wanted}, not {values!r:.60}"
    return None


def one_view(images: Files | InMemory) -> Files | InMemory:
    """Return images of which `fetch` returns only the centered crop of each."""
    if isinstance(images, Files):
        return attrs.evolve(images, views="single")
    return attrs.evolve(images, pixels=images.pixels[:: images.crops], crops=1)


def squashed(
    image: ImageSource | Image.Image, size: int, interpolation: str, name: str = "", appearance: Appearance = VIEWED
) -> Tensor:
    """Resize a whole image, whatever its aspect ratio, as images in memory are: uint8 (1, 3, size, size)."""
    pixels = torch.from_numpy(whole(image, name or str(image), appearance))
    return resize(pixels.permute(2, 0, 1)[None], size, interpolation)


def resize(pixels: Tensor, size: int, interpolation: str = "bilinear") -> Tensor:
    """Resize uint8 images (N, 3, H, W) to size × size pixels."""
    if pixels.shape[-2:] == (size, size):
        return pixels
    parts = [
        F.interpolate(part.float(), (size, size), mode=interpolation, antialias=True).round().clamp(0, 255).byte()
        for part in torch.split(pixels, 4096)
    ]
    return torch.cat(parts)


def crop(images: Tensor, boxes: Array, interpolation: str = "bilinear") -> Tensor:
    """Crop images (N, C, H, W) in [0, 1] to boxes (N, 4), and scale them to H × W.

    A box is its top, left, height and width in pixels.
    """
    corners, sides = np.split(boxes.astype(np.float32), 2, 1)
    whole = np.array(images.shape[-2:], np.float32)
    scale, middle = sides / whole, (2 * corners + sides) / whole - 1
    theta = np.zeros((len(boxes), 2, 3), np.float32)
    theta[:, (1, 0), (1, 0)], theta[:, (1, 0), 2] = scale, middle
    placed = torch.from_numpy(theta).to(images, non_blocking=True)
    grid = F.affine_grid(placed, list(images.shape), align_corners=False)
    scaled = F.grid_sample(images, grid, mode=interpolation, padding_mode="reflection", align_corners=False)
    return scaled if interpolation == "bilinear" else scaled.clamp_(0, 1)  # cubics overshoot
