"""The images of a sheet: made by the code that makes the inputs of a training, and turned back into pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from recipe.data.encoded import ImageSource
from recipe.data.images import Files, Images, Sets
from recipe.data.views import names_of, seen
from recipe.devices.distributed import Ranks
from recipe.inference.batches import Batch, Loaded
from recipe.plan.plan import Plan
from recipe.plugins.progress import Progress
from recipe.training.feeding import evaluated_images, loaded, training_images, training_inputs
from recipe.training.runtime import Runtime
from recipe.training.transform import BatchTransform

Pixels = npt.NDArray[np.uint8]

DEVICE = torch.device("cpu")


@attrs.frozen(eq=False)
class Tile:
    """One image of a sheet."""

    pixels: Pixels = attrs.field(repr=False)
    """The image as the network sees it, before normalization: uint8 (H, W, 3), or (H, W, 1) for gray images."""
    target: npt.NDArray[np.float32] = attrs.field(repr=False)
    """The share of each class in its target: float32 (K,). Of an evaluation image, that of its class is 1."""
    shares: tuple[tuple[str, float], ...]
    """The names of the one or two classes with the largest shares in its target, with these shares."""
    index: int
    """Its index in its part of the dataset. If it is mixed with another one, that of the first."""
    path: ImageSource | None = None
    """The file with this index, or what it is in a larger file, or None if the images are not read from files."""
    step: int | None = None
    """The step of the training that it is for, counted from 0, or None for an evaluation image."""
    view: str = ""
    """Which view of the image it is, such as ``top left``, or empty if evaluation uses a single one."""
    replaces: int | None = None
    """The index of the skipped image in whose place it is trained on, or None if it is in a place of its own."""


class InProcess(Runtime):
    """Loads images in this process, since starting others takes longer than a few batches."""

    def load(self, dataset: Dataset[Loaded], steps: Iterable[int], workers: int, pin: bool) -> Iterator[Batch]:
        return super().load(dataset, steps, 0, pin)


@attrs.frozen(eq=False)
class Feed:
    """The images of a plan, and what makes inputs of them."""

    plan: Plan
    sets: Sets
    transform: BatchTransform
    skipped: dict[tuple[str, int], str] = attrs.field(factory=dict)
    """Why images were skipped because they can't be read, by part and index."""

    @classmethod
    def of(cls, plan: Plan, sets: Sets, classes: int) -> Feed:
        """Return the feed of a model with this many outputs."""
        return cls(plan, sets, BatchTransform.of(plan, sets, classes, DEVICE))

    def training(self, epoch: int, count: int) -> list[Tile]:
        """Return the first images of an epoch, counted from 0, in the order in which they are trained on.

        A batch is made as a whole, since tricks may mix its images. Raises `RecipeError` if an image can't be read.
        """
        training, tiles = self.plan.training, list[Tile]()
        per_epoch = training.steps(len(self.sets.train.labels))
        steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
        images = training_images(self.plan, self.sets, Ranks())
        for batch in loaded(self.plan, images, steps, DEVICE, InProcess()):
            progress = Progress(batch.step, per_epoch, training.epochs, training.warmup)
            inputs, targets = training_inputs(self.plan, self.transform, batch, progress)
            self.skipped.update({("training", index): why for index, why in batch.skipped})
            asked = images.numbers(batch.step).tolist()
            made = zip(self.pixels(inputs), self._whole(targets), batch.indices.tolist(), asked, strict=True)
            for pixels, target, index, wanted in made:
                tile = self._tile(pixels, target, index, self.sets.train, batch.step)
                tiles.append(tile if index == wanted else attrs.evolve(tile, replaces=wanted))
            if len(tiles) >= count:
                break
        return tiles[:count]

    def evaluation(self, count: int) -> list[Tile]:
        """Return all views of held-out images, evenly spread over all of them, as evaluation makes them.

        Each view counts, but at least one image is returned with all of its own. Raises `RecipeError` if an image can't
        be read.
        """
        views = self.plan.training.evaluation_views or "single"
        total, tiles = len(self.sets.val.labels), list[Tile]()
        wanted = min(max(1, count // len(names_of(views))), total)
        chosen = np.linspace(0, total - 1, wanted).round().astype(int).tolist()
        images = evaluated_images(self.plan, self.sets.val, 1)  # batches of one image
        for batch in loaded(self.plan, images, chosen, DEVICE, InProcess()):
            self.skipped.update({("held-out", index): why for index, why in batch.skipped})
            if not len(batch.indices):
                continue
            inputs, labels = self.transform.plain(batch)
            (each,), (target,) = seen(inputs, views), self._whole(labels)
            for pixels, view in zip(self.pixels(each), names_of(views), strict=True):
                tiles.append(self._tile(pixels, target, int(batch.indices[0]), self.sets.val, None, view))
        return tiles

    def pixels(self, inputs: Tensor) -> list[Pixels]:
        """Undo the normalization of inputs (N, C, H, W): uint8 (H, W, C) for each. Values out of range are clipped."""
        images = inputs.float() * self.transform.normalised.std + self.transform.normalised.mean
        return [*(images * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()]

    def name_of(self, label: int) -> str:
        """Return the name of a class, or its number if it has none."""
        return self.sets.names[label] if label < len(self.sets.names) else str(label)

    def _whole(self, targets: Tensor) -> npt.NDArray[np.float32]:
        """Return targets as distributions: float32 (N, K)."""
        whole = targets if targets.ndim == 2 else F.one_hot(targets, self.transform.classes)
        return whole.float().numpy()

    def _tile(
        self,
        pixels: Pixels,
        target: npt.NDArray[np.float32],
        index: int,
        images: Images,
        step: int | None,
        view: str = "",
    ) -> Tile:
        largest = np.argsort(-target, kind="stable")[:2]
        shares = tuple((self.name_of(label), float(target[label])) for label in largest.tolist() if target[label] > 0)
        path = images.paths[index] if isinstance(images, Files) else None
        return Tile(pixels, target, shares, index, path, step, view)
