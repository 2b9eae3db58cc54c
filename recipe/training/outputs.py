"""What an evaluation computes besides means: the logits of each image, the recall of each class, tricks' metrics."""

from __future__ import annotations

import os
from collections.abc import Iterable

import attrs
import numpy as np
import torch
from torch import Tensor

from recipe.data.images import Files, Images
from recipe.devices.distributed import Ranks
from recipe.inference.batches import Batch
from recipe.plan.plan import Plan
from recipe.plugins.calling import broken, call_hook
from recipe.runs.held_out import HeldOut, relative_paths


@attrs.define(eq=False)
class Outputs:
    """The logits that one process has computed, on the CPU."""

    parts: list[tuple[Tensor, Tensor, Tensor]] = attrs.field(factory=list)
    """Indices (N,), labels (N,) and logits (N, K) of each batch."""

    def add(self, batch: Batch, logits: Tensor, labels: Tensor) -> None:
        self.parts.append((torch.from_numpy(batch.indices), labels.cpu(), logits.cpu()))

    def gathered(self, plan: Plan, images: Images, ranks: Ranks) -> HeldOut | None:
        """Return the outputs of all processes in the order of the images, in the first process only."""
        shares = ranks.collect(self.parts)
        if shares is None:
            return None
        index, label, logits = (torch.cat(tensors) for tensors in zip(*(p for s in shares for p in s), strict=True))
        order = index.argsort()
        index, label, logits = index[order], label[order], logits[order]
        paths = _paths(plan, images)
        chosen = None if paths is None else tuple(paths[at] for at in index.tolist())
        return HeldOut(index.numpy(), label.numpy(), logits.numpy(), chosen)


def _paths(plan: Plan, images: Images) -> tuple[str, ...] | None:
    """Return the paths of images in files, relative to the folder with all of them that their trick names, if any."""
    if not isinstance(images, Files):
        return None
    values = plan.images.values.values() if plan.images else ()
    named = (value for value in values if isinstance(value, str) and os.path.isabs(value) and os.path.isdir(value))
    return relative_paths(images.paths, *named)


EVEN = 1.5
"""Up to this factor between the numbers of images of two classes, accuracy and balanced accuracy say the same."""


def uneven(labels: Tensor) -> bool:
    """Whether some class has clearly more images than another, not counting classes without images."""
    counts = torch.bincount(labels)
    return bool(counts.max() > EVEN * counts[counts > 0].min())


@attrs.define(eq=False)
class Recalls:
    """Counts by class that stay on the device: how many images there are, and how many are classified correctly."""

    correct: Tensor
    images: Tensor

    @classmethod
    def on(cls, device: torch.device, classes: int) -> Recalls:
        return cls(*(torch.zeros(classes, dtype=torch.long, device=device) for _ in range(2)))

    def add(self, logits: Tensor, labels: Tensor) -> None:
        self.images.index_add_(0, labels, torch.ones_like(labels))
        self.correct.index_add_(0, labels, (logits.argmax(1) == labels).long())

    def balanced(self, ranks: Ranks) -> float:
        """Return the balanced accuracy: the mean, over the classes that occur, of the fraction that is correct."""
        correct, images = ranks.sum_(torch.stack([self.correct, self.images])).tolist()
        recalls = [right / count for right, count in zip(correct, images, strict=True) if count]
        return float(np.mean(recalls)) if recalls else 0.0


def metrics_of(plan: Plan, outputs: HeldOut) -> dict[str, float]:
    """Return the metrics of a plan's tricks. Raises `RecipeError` (E080), also for others than the declared ones."""
    found: dict[str, float] = {}
    for use in plan.hooked("metrics"):
        declared = call_hook(use, "metric_modes")
        logits, labels = torch.from_numpy(outputs.logits).clone(), torch.from_numpy(outputs.label).clone()
        values = call_hook(use, "metrics", logits, labels)
        if values.keys() != declared.keys():
            why = f"must return {_listed(declared)}, as `metric_modes` declares, not {_listed(values)}"
            raise broken(use, "metrics", why)
        found |= {name: float(value) for name, value in values.items()}
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "no metrics"
