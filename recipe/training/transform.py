"""Turn a batch of images into inputs and targets on the training device: crop, augment, smooth targets, mix."""

from __future__ import annotations

import attrs
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recipe.data.draws import Draws
from recipe.data.images import Sets, crop
from recipe.inference.batches import Batch
from recipe.plan.plan import Plan
from recipe.plugins.calling import call_hook
from recipe.plugins.uses import Use


@attrs.frozen(eq=False)
class BatchTransform:
    """Turns a batch of uint8 images into inputs and targets, applying the plan's tricks in order."""

    sets: Sets
    classes: int
    seed: int
    device: torch.device
    crop_boxes: tuple[Use, ...]
    augments: tuple[Use, ...]
    smooths: tuple[Use, ...]
    mixes: tuple[Use, ...]
    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, plan: Plan, sets: Sets, classes: int, device: torch.device) -> BatchTransform:
        """Return the transform for a model with ``classes`` outputs."""
        crop_box, augment, smooth, mix = (
            plan.hooked(hook) for hook in ("crop_box", "augment", "smooth_targets", "mix")
        )
        mean, std = (
            torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1).to(device) for values in (sets.mean, sets.std)
        )
        return cls(sets, classes, plan.training.seed, device, crop_box, augment, smooth, mix, mean, std)

    @property
    def distributions(self) -> bool:
        """Whether targets must be distributions, not class indices."""
        return bool(self.smooths or self.mixes)

    def normalised(self, images: Tensor) -> Tensor:
        """Normalize images in [0, 1] to inputs of mean 0 and standard deviation 1."""
        return (images - self.mean) / self.std

    def plain(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return inputs and class indices for evaluation."""
        images = batch.images.to(self.device, non_blocking=True).float().div_(255)
        return self.normalised(images), batch.labels.to(self.device, non_blocking=True)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return inputs (N, 3, H, W) and targets, class indices (N,) or distributions (N, K), for training."""
        draws = Draws(self.seed, batch.epoch, batch.indices, batch.step)
        images = batch.images.to(self.device, non_blocking=True).float().div_(255)
        targets = batch.labels.to(self.device, non_blocking=True)
        if self.crop_boxes and self.sets.train.uniform:
            sides = [np.full(len(images), float(side)) for side in images.shape[-2:]]
            boxes = call_hook(self.crop_boxes[0], "crop_box", draws.of("crop"), *sides)
            images = crop(images, boxes)
        for use in self.augments:
            images = call_hook(use, "augment", images, draws.of(use.word))
        images = self.normalised(images)
        if self.distributions:
            targets = F.one_hot(targets, self.classes).float()
        for use in self.smooths:
            targets = call_hook(use, "smooth_targets", targets)
        if self.mixes:
            drawn = int(draws.of("mix").once() * len(self.mixes))
            use = self.mixes[drawn]
            images, targets = call_hook(use, "mix", images, targets, draws.of(use.word))
        return images, targets
