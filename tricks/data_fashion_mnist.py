"""data fashion-mnist PATH: Fashion-MNIST, 70,000 images of clothes of 28 × 28 pixels in 10 classes. Xiao et al. 2017.

Nothing is downloaded. PATH must contain the published files, or those of Debian's package dataset-fashion-mnist.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipe.api import SuggestContext, Trick, integer, path, trick
from recipe.tricks._image_names import OF_IMAGES

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from recipe.api import InMemory, Sets


MOST, SIDE = 60_000, 28
"""The largest number of images in a part, and their height and width in pixels."""


@trick("data fashion-mnist", position=40, writes=("data",), known_as=OF_IMAGES, similar_to=("mnist",))
class FashionMnist(Trick):
    """Train on the training images of Fashion-MNIST and evaluate on its 10,000 test images."""

    path: str = path(help="folder with the published files")
    size: int = integer(32, "height and width of the images, in pixels", minimum=8, maximum=1024)
    images: int | None = integer(
        None,
        "training images to use, the first ones of each class in equal numbers; if omitted, all",
        minimum=2,
        maximum=60_000,
    )
    workers: int = integer(
        0, "processes that load batches; 0 uses the main process", minimum=0, maximum=256, result=False
    )

    def suggest(self, context: SuggestContext) -> Mapping[str, Any]:
        return {"epochs count": 10, "batch total": 128}

    def open(self) -> Sets:
        from recipe.api import in_memory

        train, held_out = (_read(Path(self.path), part) for part in ("train", "t10k"))
        if self.images is not None:
            train = _first(train, self.images)
        return in_memory(train, held_out, 10, self.size)

    def count_images(self) -> int:
        return self.images or 60_000

    def count_classes(self) -> int:
        return 10


def _first(part: InMemory, images: int) -> InMemory:
    """Return the first ``images`` images, balanced over the classes. The first classes get the remainder."""
    import torch

    from recipe.api import InMemory

    chosen = []
    for label in range(10):
        wanted = images // 10 + (label < images % 10)
        found = torch.nonzero(part.labels == label)[:wanted, 0]
        if len(found) < wanted:
            raise ValueError(f"too few training images of class {label}: {len(found)} instead of {wanted}")
        chosen.append(found)
    order = torch.cat(chosen).sort().values
    return InMemory(part.pixels[order], part.labels[order])


def _read(folder: Path, part: str) -> InMemory:
    """Read one part of the dataset from its two IDX files, compressed or not."""
    import torch

    from recipe.api import InMemory

    pixels = torch.from_numpy(_idx(folder, f"{part}-images-idx3-ubyte", (MOST, SIDE, SIDE)))
    labels = torch.from_numpy(_idx(folder, f"{part}-labels-idx1-ubyte", (MOST,))).long()
    if len(labels) != len(pixels):
        counts = f"{len(pixels)} and {len(labels)}"
        raise ValueError(f"the numbers of images and labels for `{part}` in `{folder}` differ: {counts}")
    return InMemory(pixels[:, None].expand(-1, 3, -1, -1).contiguous(), labels)


def _idx(folder: Path, name: str, most: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Read an IDX file of bytes: two zero bytes, the type 8, the number of axes, their lengths, the values.

    ``most`` is the largest length of the first axis, and the exact length of the others, so that a file can't claim or
    unpack to more memory than the dataset needs.
    """
    import gzip
    import zlib

    import numpy as np

    packed, plain = folder / f"{name}.gz", folder / name
    if not packed.is_file() and not plain.is_file():
        raise FileNotFoundError(f"neither `{plain}` nor `{packed.name}` exists")
    path = packed if packed.is_file() else plain
    header = 4 + 4 * len(most)
    try:
        with gzip.open(path) if path == packed else path.open("rb") as file:
            data = file.read(header + math.prod(most) + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error):  # their messages may quote the file
        raise ValueError(f"`{path}` is damaged") from None
    shape = tuple(int(axis) for axis in np.frombuffer(data[4:header], ">u4")) if len(data) >= header else ()
    if data[:4] != bytes((0, 0, 8, len(most))) or not shape or shape[0] > most[0] or shape[1:] != most[1:]:
        raise ValueError(f"`{path}` is not a valid IDX file of at most {' × '.join(map(str, most))} bytes")
    if (wrong := len(data) - header - math.prod(shape)) != 0:
        raise ValueError(f"`{path}` has {'more' if wrong > 0 else 'fewer'} values than its header says")
    return np.frombuffer(bytearray(data), np.uint8, offset=header).reshape(shape)
