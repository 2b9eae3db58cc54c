"""A trained model, and what its inputs and outputs mean."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import attrs
import torch
from torch import Tensor, fx

from recipe.base.errors import fail
from recipe.base.public import undisturbed
from recipe.base.wording import plural
from recipe.data.images import Images
from recipe.data.normalization import Normalization
from recipe.data.views import averaged
from recipe.devices.choice import cores, is_out_of_memory, repeatable
from recipe.inference.batches import Batch, InOrder, ahead, evaluated_at_once, load
from recipe.inference.layout import laid_out
from recipe.plugins.settings import Training
from recipe.runs.provenance import Classes, Preprocessing

FEW = 64
"""Up to this many images are decoded in this process, since starting others takes longer."""


@attrs.frozen(eq=False)
class Trained:
    """A trained model on its device, its classes, and how images become its inputs.

    It computes in fp32, like exports of it. The same batch gives the same bits on the same machine.
    """

    model: fx.GraphModule
    training: Training
    """The settings of its training: the size of a batch, and the memory format."""
    classes: Classes
    preprocessing: Preprocessing

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def batch(self) -> int:
        """How many images are computed at a time by default."""
        return evaluated_at_once(self.training.batch, self.training.micro, self.preprocessing.views)

    def name_of(self, index: int) -> str:
        """Return the name of the class of an output, or its index if it has none."""
        return self.classes.names[index] if index < len(self.classes.names) else str(index)

    def inputs(self, pixels: Tensor) -> Tensor:
        """Return the inputs of the model for uint8 images (N, 3, H, W), on its device."""
        return laid_out(normalized(pixels.to(self.device, non_blocking=True), self.preprocessing), self.training)

    def logits(self, pixels: Tensor) -> Tensor:
        """Return the logits of uint8 images (N × crops, 3, H, W), on the CPU: float32 (N, K).

        With several views, they are the logarithms of the mean of the probabilities. Raises `RecipeError` (E115) if the
        device has too little memory for the batch.
        """
        try:
            with torch.inference_mode():
                return averaged(self.model, self.inputs(pixels), self.preprocessing.views).cpu()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            message = f"`{self.device}` has too little memory for a batch of {plural(len(pixels), 'image')}"
            raise fail("E115", message, help="use smaller batches") from error

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """A context in which the model is in evaluation mode and computes repeatably, whatever the caller's modes."""
        before = self.model.training
        self.model.eval()
        try:
            with undisturbed(), repeatable(self.device), _whole_precision():
                yield
        finally:
            self.model.train(before)

    def batches(
        self,
        images: Images,
        batch: int | None = None,
        workers: int | None = None,
        skip: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> Iterator[Batch]:
        """Yield the images in order, in batches, on the model's device. Of ``world`` processes, each takes its share.

        ``workers`` processes decode them, by default at most 4. With ``skip``, images that can't be read are skipped.
        """
        ordered = InOrder(images, batch or self.batch, skip, self.preprocessing.size)
        if workers is None:
            several = len(images.labels) > FEW and not images.uniform
            workers = min(4, cores()) if several else 0
        loaded = load(ordered, range(rank, len(ordered), world), workers, self.device.type == "cuda")
        return ahead(loaded, self.device)


def normalized(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Return the inputs of a model for uint8 images (N, 3, H, W) of its size: float32 (N, C, H, W), on their device."""
    return Normalization.of(preprocessing.mean, preprocessing.std, pixels.device)(pixels.float().div_(255))


@contextlib.contextmanager
def _whole_precision() -> Iterator[None]:
    """A context in which cuDNN computes in fp32, not in TF32, which keeps only ten bits of the fraction."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
