"""How often a training uses the images of each class, and how much they count in the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from recipe.base.wording import columns, plural
from recipe.data.images import Sets
from recipe.devices.distributed import Ranks
from recipe.plan.plan import Plan
from recipe.training.feeding import training_images
from recipe.training.objective import class_weights

HOOKS = ("epoch_order", "class_weights")
"""The hooks of tricks that treat classes differently."""

SHOWN = 20
"""The most classes in a text: those with the most and with the fewest images."""


def is_balanced(plan: Plan) -> bool:
    """Whether a trick of a plan treats classes differently."""
    return any(plan.hooked(hook) for hook in HOOKS)


def balance_of(plan: Plan, sets: Sets) -> dict[str, Any]:
    """Return the images of the first epoch in all and by class, and the weight of each class, as plain JSON values.

    A weight is None if no trick states them. Raises `RecipeError` (E080) if such a trick is broken.
    """
    labels, steps = sets.train.labels, training_images(plan, sets, Ranks())
    seen = np.concatenate([steps.numbers(step) for step in range(steps.steps)])
    weights = class_weights(plan, labels, sets.classes, torch.device("cpu"))
    each = zip(
        sets.names or [str(label) for label in range(sets.classes)],
        np.bincount(labels.numpy(), minlength=sets.classes).tolist(),
        np.bincount(labels.numpy()[seen], minlength=sets.classes).tolist(),
        [None] * sets.classes if weights is None else weights.tolist(),
        strict=True,
    )
    fields = ("name", "images", "per_epoch", "weight")
    return {
        "images": len(labels),
        "per_epoch": len(seen),
        "distinct": len(np.unique(seen)),
        "classes": [dict(zip(fields, values, strict=True)) for values in each],
    }


def as_text(balance: dict[str, Any]) -> str:
    """Return a balance as a section of a report."""
    classes = balance["classes"]
    frequent = sorted(range(len(classes)), key=lambda at: -classes[at]["images"])
    chosen = sorted({*frequent[: SHOWN // 2], *frequent[-SHOWN // 2 :]})
    rows = [("class", "images", "per epoch", "weight")]
    for one in (classes[at] for at in chosen):
        weight = "" if one["weight"] is None else f"{one['weight']:.4g}"
        rows.append((one["name"], f"{one['images']:,}", f"{one['per_epoch']:,}", weight))
    if left := len(classes) - len(chosen):
        rows.append((f"… {left:,} between", "", "", ""))
    said = f"an epoch uses {plural(balance['per_epoch'], 'image', form=',')}"
    distinct = f"{balance['distinct']:,} different ones of the {balance['images']:,} training images"
    return f"classes: {said}, {distinct}\n{columns(rows, (1, 2, 3), indent=2)}"
