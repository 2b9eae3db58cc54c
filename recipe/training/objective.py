"""The training loss: cross entropy or a trick's own loss, plus the terms that tricks add."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recipe.plan.plan import Plan
from recipe.plugins.calling import call_hook
from recipe.plugins.contexts import LossContext, Teach
from recipe.plugins.progress import Progress

Objective = Callable[..., tuple[Tensor, Tensor]]
"""A function from outputs, targets, inputs and progress to the loss and the logits. See `objective`."""


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean cross entropy of logits (N, K) against class indices (N,) or distributions (N, K).

    With ``weights`` (K,), the part of each class counts as much as its weight.
    """
    if weights is not None and targets.ndim == 1:
        targets = F.one_hot(targets, logits.shape[1]).float()  # for indices, torch divides by the sum of their weights
    return F.cross_entropy(logits.float(), targets, weights)


def class_weights(plan: Plan, labels: Tensor, classes: int, device: torch.device) -> Tensor | None:
    """Return the weight of each class in the cross entropy, float32 (K,), or None if no trick states them."""
    for use in plan.hooked("class_weights"):
        counts = np.bincount(labels.numpy(), minlength=classes)
        return torch.from_numpy(call_hook(use, "class_weights", counts)).float().to(device)
    return None


def objective(
    plan: Plan,
    teachers: Teach,
    reads: Mapping[str, Mapping[str, str]] | None = None,
    weights: Tensor | None = None,
) -> Objective:
    """Return the loss of a plan: a function from the model's outputs, targets and inputs to the loss and the logits.

    Its last argument is the progress of the training, which decides which tricks act. By default, all of them do.

    ``reads`` are the layers whose outputs loss terms read, as `features_of` returns them. If there are any, the model's
    outputs are those of `with_features`. ``weights`` are those of the classes in the cross entropy, on the device.
    """
    aux_weight, reads = plan.training.aux_weight, reads or {}

    def loss_of(
        outputs: Any, targets: Tensor, images: Tensor, progress: Progress | None = None
    ) -> tuple[Tensor, Tensor]:
        losses, terms = plan.acting("loss", progress), plan.acting("loss_term", progress)
        loss_hook = partial(call_hook, losses[0], "loss") if losses else partial(cross_entropy, weights=weights)
        features: dict[str, Tensor] = {}
        if reads:
            outputs, features = outputs
        logits, *aux = outputs if isinstance(outputs, tuple) else (outputs,)
        logits = logits.float()
        if (losses or terms) and targets.ndim == 1:
            targets = F.one_hot(targets, logits.shape[1]).float()
        main = loss = loss_hook(logits, targets)
        for head in aux:
            loss = loss + aux_weight * loss_hook(head.float(), targets)
        for use in terms:
            own = {name: features[address] for name, address in reads.get(use.word, {}).items()}
            loss = loss + call_hook(use, "loss_term", LossContext(logits, targets, images, main, teachers, own))
        return loss, logits

    return loss_of
