"""Images that a caller passes to a trained model: paths, Pillow images, arrays or tensors."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from recipe.data.appearance import VIEWED, Appearance
from recipe.data.decode import Box, decode, fitted
from recipe.data.encoded import ImageSource
from recipe.data.images import Array, Files, Images, squashed
from recipe.data.views import boxes_of
from recipe.inference.batches import Numbers
from recipe.inference.listing import check_exist, images_under
from recipe.runs.provenance import Preprocessing

Given: TypeAlias = "str | Path | Image.Image | np.ndarray[Any, Any] | Tensor"
"""One image: a path, a Pillow image, an array (H, W, 3) or (H, W), or a tensor (3, H, W), both of uint8."""


@attrs.frozen(eq=False)
class Pictures:
    """Image files and images in memory, of any size, which are cropped to one box and resized when fetched."""

    items: tuple[ImageSource | Image.Image, ...]
    names: tuple[str, ...]
    """What to call each image in messages: its path, or ``image 0`` and so on."""
    labels: Tensor
    """The class indices: int64 (N,). Zeros if they are unknown."""
    size: int
    boxes: tuple[Box, ...] | None
    """The parts of each image that are used, or None for the whole image."""
    interpolation: str = "bilinear"
    """How the images are resized."""
    appearance: Appearance = VIEWED
    """How the images look before they are cropped."""
    uniform: bool = False

    @property
    def crops(self) -> int:
        """The number of crops of each image."""
        return 1 if self.boxes is None else len(self.boxes)

    def fetch(self, indices: Numbers, boxer: Callable[[int, int, int], Array] | None) -> Tensor:
        """Return the images with these indices: uint8 (N × crops, 3, size, size). Ignores ``boxer``."""
        return torch.cat([self._image(int(index)) for index in indices])

    def _image(self, index: int) -> Tensor:
        """Return the crops of an image, with the same bits as the run's evaluation computes."""
        item, name = self.items[index], self.names[index]
        if self.boxes is None:
            return squashed(item, self.size, self.interpolation, name, self.appearance)
        parts = []
        for box in self.boxes:
            if isinstance(item, Image.Image):
                pixels = fitted(item, self.size, box, name, self.interpolation, self.appearance)
            else:
                pixels = decode(item, self.size, box, self.interpolation, True, self.appearance)
            parts.append(torch.from_numpy(pixels).permute(2, 0, 1))
        return torch.stack(parts)


def pictures(given: Given | Iterable[Given], preprocessing: Preprocessing) -> Pictures:
    """Return the images that a caller passes, to be fetched as a run's evaluation does.

    Raises `TypeError` or `ValueError` for what is not an image, and `RecipeError` (E128) for paths if none exists.
    """
    items, names = list[Path | Image.Image](), list[str]()
    for number, one in enumerate(_each(given)):
        names.append(str(one) if isinstance(one, (str, os.PathLike)) else f"image {number}")
        items.append(_item(one, names[-1]))
    paths = [item for item in items if isinstance(item, Path)]
    if len(paths) == len(items):
        check_exist(paths)
    labels = torch.zeros(len(items), dtype=torch.int64)
    return _pictures(tuple(items), tuple(names), labels, preprocessing)


def labeled(images: Images, preprocessing: Preprocessing) -> Images:
    """Return images of a dataset that are cropped as a run's evaluation does. Those of one size are not cropped."""
    if not isinstance(images, Files):
        return images
    names = tuple(map(str, images.paths))
    return _pictures(images.paths, names, images.labels, preprocessing)


def _pictures(
    items: tuple[ImageSource | Image.Image, ...], names: tuple[str, ...], labels: Tensor, made: Preprocessing
) -> Pictures:
    boxes = None if made.crop is None else boxes_of(made.views, made.crop)
    return Pictures(items, names, labels, made.size, boxes, made.interpolation, made.appearance)


def _each(given: Any) -> Iterator[Any]:
    """Yield one image at a time. A folder has its images, and an array or tensor of four dimensions is a batch."""
    if isinstance(given, (bytes, Mapping)):
        raise TypeError(f"images are paths, Pillow images, arrays or tensors, not {type(given).__name__}")
    if isinstance(given, (str, os.PathLike)):
        path = os.fspath(given)
        yield from images_under(path, []) if os.path.isdir(path) or not path else (given,)
    elif isinstance(given, Image.Image):
        yield given
    elif isinstance(given, (np.ndarray, Tensor)):
        yield from given if given.ndim == 4 else (given,)
    elif isinstance(given, Iterable):
        for one in given:
            yield from _each(one) if isinstance(one, (str, os.PathLike)) else (one,)
    else:
        yield given


def _item(one: Any, name: str) -> Path | Image.Image:
    if isinstance(one, (str, os.PathLike)):
        return Path(one)
    if isinstance(one, Image.Image):
        if not one.width * one.height:
            raise ValueError(f"{name} has no pixels: {one.width}×{one.height}")
        with contextlib.suppress(Exception):  # a damaged one is reported when it is fetched
            one.load()  # worker processes would share the position in its file
        return one
    if not isinstance(one, (np.ndarray, Tensor)):
        raise TypeError(f"an image is a path, a Pillow image, an array or a tensor, not {one!r:.60}")
    if one.dtype not in (np.uint8, torch.uint8):
        help = "pass pixels from 0 to 255; for normalized inputs, call the `model` of the run"
        raise TypeError(f"{name} must be of uint8, not {str(one.dtype).removeprefix('torch.')}: {help}")
    if isinstance(one, Tensor) and one.is_meta:
        raise TypeError(f"{name} is on the meta device, where it has no pixels")
    array = one.permute(1, 2, 0).cpu().numpy() if isinstance(one, Tensor) and one.ndim == 3 else np.asarray(one)
    wanted = "(3, H, W)" if isinstance(one, Tensor) else "(H, W, 3) or (H, W)"
    is_gray = array.ndim == 2 and not isinstance(one, Tensor)
    if not (is_gray or (array.ndim == 3 and array.shape[2] == 3)) or not array.size:
        raise ValueError(f"{name} must have the shape {wanted}, not {(*one.shape,)}")
    return Image.fromarray(np.ascontiguousarray(array))
