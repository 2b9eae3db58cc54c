"""data fashion-mnist PATH: Fashion-MNIST, 70,000 images of clothes of 28 × 28 pixels in 10 classes. Xiao et al. 2017.

Nothing is downloaded. PATH must contain the published files, or those of Debian's package dataset-fashion-mnist.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipe.api import SuggestContext, Trick, integer, path, trick

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from recipe.api import InMemory, Sets


@trick("data fashion-mnist", position=40, writes=("data",))
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
            raise ValueError(f"class {label} has {len(found)} training images, but {wanted} are needed")
        chosen.append(found)
    order = torch.cat(chosen).sort().values
    return InMemory(part.pixels[order], part.labels[order])


def _read(folder: Path, part: str) -> InMemory:
    """Read one part of the dataset from its two IDX files, compressed or not."""
    import torch

    from recipe.api import InMemory

    pixels = torch.from_numpy(_idx(folder, f"{part}-images-idx3-ubyte").copy())
    labels = torch.from_numpy(_idx(folder, f"{part}-labels-idx1-ubyte").copy()).long()
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1]:
        raise ValueError(f"`{folder}` has {tuple(pixels.shape)} pixels but {tuple(labels.shape)} labels for `{part}`")
    return InMemory(pixels[:, None].expand(-1, 3, -1, -1).contiguous(), labels)


def _idx(folder: Path, name: str) -> npt.NDArray[np.uint8]:
    """Read the array in an IDX file of bytes: two zero bytes, a type, the number of axes, their lengths, the values."""
    import gzip

    import numpy as np

    packed, plain = folder / f"{name}.gz", folder / name
    if not packed.is_file() and not plain.is_file():
        raise FileNotFoundError(f"neither `{plain}` nor `{packed.name}` exists")
    try:
        data = gzip.decompress(packed.read_bytes()) if packed.is_file() else plain.read_bytes()
        axes = data[3]
        shape = np.frombuffer(data, ">u4", axes, 4).astype(int)
        return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)
    except (EOFError, gzip.BadGzipFile, IndexError, ValueError):  # their messages may quote the file
        raise ValueError(f"`{folder / name}` is not a valid IDX file") from None
