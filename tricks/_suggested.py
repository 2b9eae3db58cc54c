"""What a dataset of your own suggests for its training, so that few images get enough updates at a rate that fits.

Batch, epochs and rate are for ranges of the number of images, so that some more or fewer change nothing.
`python -m tests.two_words` compares them with the defaults.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from recipe.api import SuggestContext
from recipe.tricks._suggested_rates import KINDS
from recipe.tricks._suggested_sizes import ANY_SIZE, size_of

MOST = 100_000
"""The largest number of images with suggestions. The defaults are for larger datasets."""

ADAPTIVE = re.compile(r"(timm:)?(convnext|vit|deit|swin|maxvit|beit|cait|xcit|eva|mixer|resmlp|gmlp|poolformer|coat)")
"""The models that were published with AdamW. SGD trains them slowly."""


@attrs.frozen
class Fitting:
    """What fits datasets of some size."""

    batch: int
    epochs: int
    pretrained_epochs: int
    warmup: int
    statistics: int | None
    """How many images the statistics of batch normalization need, if there are few updates."""


RANGES = {
    100: Fitting(16, 80, 40, 5, 1000),
    1_000: Fitting(16, 40, 20, 3, 1000),
    10_000: Fitting(64, 30, 10, 2, 1000),
    MOST: Fitting(128, 30, 10, 2, None),
}
"""What fits up to this number of images."""

AREA = 0.35
"""The smallest area of crops. Those of ImageNet, down to 0.08, miss too much of small images."""

SMOOTHING = 0.1
"""The label smoothing, which keeps a network from being too sure of images that it hasn't seen."""

BETA1 = 0.9
"""The default of AdamW. A suggestion for one of its fields adds it to a recipe."""

DECAY = 0.05
"""The weight decay for AdamW, which multiplies it by the learning rate (Liu et al. 2022, ConvNeXt, table 5)."""


def suggested_by(word: str, first_images: Callable[[int], Sequence[str]], context: SuggestContext) -> Mapping[str, Any]:
    """Return what image files suggest for the fields that a recipe leaves open.

    Args:
        word: The words of the trick that opens the images.
        first_images: Returns the paths of up to a number of images.
        context: What the recipe states.
    """
    if _is_complete(word, context):
        return {}
    images = first_images(MOST + 1)
    return suggested_for(word, len(images), context, lambda: size_of(images))


def suggested_for(
    word: str, images: int, context: SuggestContext, size: Callable[[], int | None] = lambda: None
) -> Mapping[str, Any]:
    """Return what a number of images suggests for the fields that a recipe leaves open.

    Args:
        word: The words of the trick that opens the images.
        images: The number of images to train on or to split.
        context: What the recipe states.
        size: Returns the size that fits the images, or None for the default.
    """
    fitting = next((values for most, values in RANGES.items() if images <= most), None)
    if not images or fitting is None or _is_complete(word, context):
        return {}
    values = {} if context.continues_lock else _for_training(fitting, context)
    if takes_any_size(word, context) and (fits := size()):
        values[f"{word} size"] = fits
    return values


def _for_training(fitting: Fitting, context: SuggestContext) -> dict[str, Any]:
    """Return what fits a dataset, apart from the size of its images."""
    verbs, model = context.verbs, str(context.given.get("base", {}).get("model", ""))
    pretrained = _is_pretrained(context)
    epochs = fitting.pretrained_epochs if pretrained else fitting.epochs
    values: dict[str, Any] = {"batch total": fitting.batch, "epochs count": epochs}
    if fitting.statistics:
        values["norm precise images"] = fitting.statistics
    if "augment" not in verbs:
        values["augment crop area"] = AREA
    if "loss" not in verbs:
        values["loss smooth epsilon"] = SMOOTHING
    optimizer = next((word.partition(" ")[2] for word in context.words if word.startswith("optimizer ")), "")
    rates_open = "rate" not in context.given.get("lr", {}) and "lr per" not in context.words
    if not optimizer and rates_open and ADAPTIVE.match(model) and "optimizer adamw" not in context.dropped:
        optimizer = "adamw"
        values["optimizer adamw beta1"] = BETA1
    if optimizer == "adamw":
        values["decay rate"] = DECAY
    kind = KINDS.get(optimizer or "sgd")
    if kind is not None and rates_open:
        batch = context.given.get("batch", {}).get("total", fitting.batch)
        values["lr rate"] = kind.of(batch, pretrained, "lr" not in verbs or "lr warmup" in context.words)
        if "lr" not in verbs:
            fifth = context.given.get("epochs", {}).get("count", epochs) / 5
            values |= {"lr warmup epochs": min(fitting.warmup, fifth), "lr cosine floor": 0}
    return values


def takes_any_size(word: str, context: SuggestContext) -> bool:
    """Whether a recipe leaves the size of its images open, and its model takes any."""
    return bool(ANY_SIZE.match(str(context.given.get("base", {}).get("model", "")))) and not _is_sized(word, context)


def _is_pretrained(context: SuggestContext) -> bool:
    return context.given.get("base", {}).get("weights") is not None


def _is_sized(word: str, context: SuggestContext) -> bool:
    return _is_pretrained(context) or "size" in context.given.get(word, {})


def _is_complete(word: str, context: SuggestContext) -> bool:
    """Whether a recipe leaves nothing open for which something is suggested."""
    stated = context.verbs >= {"batch", "epochs", "augment", "loss", "norm", "decay"}
    return stated and "rate" in context.given.get("lr", {}) and _is_sized(word, context)
