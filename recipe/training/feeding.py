"""The images of a plan on their way to the model: which ones, in batches, loaded, and resized for a step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from recipe.data.draws import Draws, Indices
from recipe.data.images import Images, Sets
from recipe.devices.distributed import Ranks
from recipe.inference.batches import Batch, InOrder, ahead, evaluated_at_once
from recipe.inference.datasets import explained
from recipe.inference.layout import laid_out
from recipe.plan.plan import Plan
from recipe.plugins.calling import call_hook
from recipe.plugins.during import ALWAYS
from recipe.plugins.field_contracts import ImageFields
from recipe.plugins.progress import Progress
from recipe.plugins.uses import Use
from recipe.training.loading import Steps
from recipe.training.runtime import Runtime
from recipe.training.transform import BatchTransform


def image_fields(plan: Plan) -> ImageFields:
    """Return the fields of the trick that opens the images of a plan."""
    fields = plan.image_fields
    assert fields is not None
    return fields


def training_images(plan: Plan, sets: Sets, ranks: Ranks) -> Steps:
    """Return a process's shares of all training batches, by step."""
    boxes, fields = plan.hooked("crop_box"), image_fields(plan)
    boxer = partial(call_hook, boxes[0], "crop_box") if boxes else None
    during = boxes[0].during if boxes else ALWAYS
    chooser = next((partial(_chosen, use) for use in plan.hooked("epoch_order")), None)
    return Steps(sets.train, plan.training, boxer, fields.skips, ranks.rank, ranks.world, fields.size, during, chooser)


def _chosen(use: Use, labels: Indices, draws: Draws) -> Indices:
    order: Indices = call_hook(use, "epoch_order", labels, draws.of(use.word))
    return order


def evaluated_images(plan: Plan, images: Images, micro: int | None) -> InOrder:
    """Return images to evaluate, in batches. ``micro`` is the number of images that the model processes at a time."""
    fields = image_fields(plan)
    size, views = plan.training.evaluation_size or fields.size, plan.training.evaluation_views or "single"
    return InOrder(images, evaluated_at_once(plan.training.batch, micro, views), fields.skips, size)


def loaded(
    plan: Plan, dataset: Steps | InOrder, numbers: Iterable[int], device: torch.device, runtime: Runtime
) -> Iterator[Batch]:
    """Yield batches by index, on a device. Errors in the images say what to do about them."""
    with explained(plan):
        batches = runtime.load(dataset, numbers, image_fields(plan).workers, device.type == "cuda")
        yield from ahead(batches, device)


def training_inputs(plan: Plan, transform: BatchTransform, batch: Batch, progress: Progress) -> tuple[Tensor, Tensor]:
    """Return what the model gets of a training batch at a step: inputs (N, 3, H, W), and targets (N,) or (N, K)."""
    inputs, targets = transform(batch)
    return laid_out(sized(plan, inputs, progress), plan.training), targets


def resolution(plan: Plan, side: int, progress: Progress) -> int:
    """Return the side, in pixels, to which images of ``side`` are resized for training at a step."""
    for use in plan.hooked("resolution"):
        side = call_hook(use, "resolution", side, progress)
    return side


def sized(plan: Plan, inputs: Tensor, progress: Progress) -> Tensor:
    """Resize inputs (N, 3, H, W) to the resolution that a trick chooses for a step."""
    side = resolution(plan, inputs.shape[-1], progress)
    if side == inputs.shape[-1]:
        return inputs
    return nn.functional.interpolate(inputs, (side, side), mode="bilinear", antialias=True)
