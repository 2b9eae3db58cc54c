"""The training loss: cross entropy or a trick's own loss, plus the terms that tricks add."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from recipe.plan.plan import Plan
from recipe.plugins.calling import call_hook
from recipe.plugins.contexts import LossContext, Teach
from recipe.plugins.progress import Progress

Objective = Callable[..., tuple[Tensor, Tensor]]
"""A function from outputs, targets, inputs and progress to the loss and the logits. See `objective`."""


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross entropy of logits (N, K) against class indices (N,) or distributions (N, K)."""
    return F.cross_entropy(logits.float(), targets)


def objective(plan: Plan, teachers: Teach, reads: Mapping[str, Mapping[str, str]] | None = None) -> Objective:
    """Return the loss of a plan: a function from the model's outputs, targets and inputs to the loss and the logits.

    Its last argument is the progress of the training, which decides which tricks act. By default, all of them do.

    ``reads`` are the layers whose outputs loss terms read, as `features_of` returns them. If there are any, the model's
    outputs are those of `with_features`.
    """
    aux_weight, reads = plan.training.aux_weight, reads or {}

    def loss_of(
        outputs: Any, targets: Tensor, images: Tensor, progress: Progress | None = None
    ) -> tuple[Tensor, Tensor]:
        losses, terms = plan.acting("loss", progress), plan.acting("loss_term", progress)
        loss_hook = partial(call_hook, losses[0], "loss") if losses else cross_entropy
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
