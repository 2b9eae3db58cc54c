"""Turn a batch of images into inputs and targets on the training device: crop, augment, smooth targets, mix."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recipe.base.channels import to_channels
from recipe.data.draws import Draws
from recipe.data.images import Sets, crop
from recipe.data.normalization import Normalization
from recipe.inference.batches import Batch
from recipe.plan.plan import Plan
from recipe.plugins.calling import call_hook
from recipe.plugins.progress import Progress
from recipe.plugins.uses import Use


@attrs.frozen(eq=False)
class BatchTransform:
    """Turns a batch of uint8 images into inputs and targets, applying the plan's tricks in order."""

    plan: Plan
    sets: Sets
    classes: int
    device: torch.device
    normalised: Normalization
    """Normalizes images in [0, 1] to inputs."""
    interpolation: str = "bilinear"
    """How crops are scaled to the size of the images."""

    @classmethod
    def of(cls, plan: Plan, sets: Sets, classes: int, device: torch.device) -> BatchTransform:
        """Return the transform for a model with ``classes`` outputs."""
        mean, std = (to_channels(each, plan.training.channels) for each in (sets.mean, sets.std))
        normalised = Normalization.of(mean, std, device)
        return cls(plan, sets, classes, device, normalised, plan.training.interpolation)

    def _acting(self, step: int) -> Iterator[tuple[Use, ...]]:
        """Yield the tricks that act at a step, for each of these hooks."""
        training = self.plan.training
        progress = Progress(step, training.steps(len(self.sets.train.labels)), training.epochs, training.warmup)
        return (self.plan.acting(hook, progress) for hook in ("crop_box", "augment", "smooth_targets", "mix"))

    def plain(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return inputs and class indices for evaluation."""
        images = batch.images.to(self.device, non_blocking=True).float().div_(255)
        return self.normalised(images), batch.labels.to(self.device, non_blocking=True)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return inputs (N, C, H, W) and targets, class indices (N,) or distributions (N, K), for training."""
        crop_boxes, augments, smooths, mixes = self._acting(batch.step)
        draws = Draws(self.plan.training.seed, batch.epoch, batch.indices, batch.step, occurrences=batch.occurrences)
        images = batch.images.to(self.device, non_blocking=True).float().div_(255)
        targets = batch.labels.to(self.device, non_blocking=True)
        if crop_boxes and self.sets.train.uniform:
            sides = [np.full(len(images), float(side)) for side in images.shape[-2:]]
            boxes = call_hook(crop_boxes[0], "crop_box", draws.of("crop"), *sides)
            images = crop(images, boxes, self.interpolation)
        for use in augments:
            images = call_hook(use, "augment", images, draws.of(use.word))
        images = self.normalised(images)
        if smooths or mixes:
            targets = F.one_hot(targets, self.classes).float()
        for use in smooths:
            targets = call_hook(use, "smooth_targets", targets)
        if mixes:
            drawn = int(draws.of("mix").once() * len(mixes))
            use = mixes[drawn]
            images, targets = call_hook(use, "mix", images, targets, draws.of(use.word))
        return images, targets
