"""data fashion-mnist PATH: Fashion-MNIST: 70,000 images of clothes of 28 × 28 pixels in 10 classes. Xiao et al. 2017.

Nothing is downloaded: PATH holds the files as they are published, or as Debian's package dataset-fashion-mnist has
them.
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

    path: str = path(help="folder that holds the published files")
    size: int = integer(32, "height and width of the images, in pixels", minimum=8, maximum=1024)
    images: int | None = integer(
        None,
        "train on so many images, as many of each class, the first ones; all, where it is left out",
        minimum=2,
        maximum=60_000,
    )
    workers: int = integer(0, "processes that load batches ahead; 0 loads them in place", minimum=0, maximum=256)

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
    """The first so many images, as many of each class: the remainder goes to the first classes."""
    import torch

    from recipe.api import InMemory

    chosen = []
    for label in range(10):
        wanted = images // 10 + (label < images % 10)
        found = torch.nonzero(part.labels == label)[:wanted, 0]
        if len(found) < wanted:
            raise ValueError(f"there are {len(found)} training images of class {label}, not {wanted}")
        chosen.append(found)
    order = torch.cat(chosen).sort().values
    return InMemory(part.pixels[order], part.labels[order])


def _read(folder: Path, part: str) -> InMemory:
    """One part of the set, from its two IDX files, packed or not."""
    import torch

    from recipe.api import InMemory

    pixels = torch.from_numpy(_idx(folder, f"{part}-images-idx3-ubyte").copy())
    labels = torch.from_numpy(_idx(folder, f"{part}-labels-idx1-ubyte").copy()).long()
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1]:
        raise ValueError(f"`{folder}` holds {tuple(pixels.shape)} pixels and {tuple(labels.shape)} labels for `{part}`")
    return InMemory(pixels[:, None].expand(-1, 3, -1, -1).contiguous(), labels)


def _idx(folder: Path, name: str) -> npt.NDArray[np.uint8]:
    """The array in an IDX file of bytes: two zero bytes, a type, the number of axes, their lengths, the values."""
    import gzip

    import numpy as np

    packed, plain = folder / f"{name}.gz", folder / name
    if not packed.is_file() and not plain.is_file():
        raise FileNotFoundError(f"there is no file `{plain}` or `{packed.name}`")
    try:
        data = gzip.decompress(packed.read_bytes()) if packed.is_file() else plain.read_bytes()
        axes = data[3]
        shape = np.frombuffer(data, ">u4", axes, 4).astype(int)
        return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)
    except (EOFError, gzip.BadGzipFile, IndexError, ValueError):  # whose message may quote the file
        raise ValueError(f"`{folder / name}` is no IDX file") from None
