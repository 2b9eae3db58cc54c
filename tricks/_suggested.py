"""What a dataset of your own suggests for its training, so that few images get enough updates at a rate that fits.

Batch, epochs and rate are for ranges of the number of images, so that some more or fewer change nothing.
`python -m tests.two_words` compares them with the defaults.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from recipe.api import PlanView, SuggestContext, shorter_side

MOST = 100_000
"""The largest number of images with suggestions. The defaults are for larger datasets."""

SAMPLE = 32
"""The number of images whose size is looked at."""

SIZES = (64, 96, 128, 160, 192)
"""The sizes that are suggested for images that are smaller than the default."""

ANY_SIZE = re.compile(
    r"(timm:)?(tf_|wide_|test_)?(resnet|resnext|resnest|seresnet|seresnext|convnext|efficientnet|mobilenet|regnet|"
    r"densenet|shufflenet|mnasnet)"
)
"""The models that take images of any of these sizes."""


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


@attrs.frozen
class Rate:
    """The learning rates of a kind of optimizer, and how they grow with the batch."""

    scratch: float
    """For a batch of 64, from initial weights."""
    pretrained: float
    """For a batch of 64, from pretrained weights."""
    power: float
    """The power of the batch with which they grow."""
    largest: tuple[int, int]
    """The largest batch with which they grow, without and with a warmup."""

    def of(self, batch: int, pretrained: bool, warm: bool) -> float:
        """Return the rate for a batch."""
        rate = self.pretrained if pretrained else self.scratch
        return float(f"{rate * (min(batch, self.largest[warm]) / 64) ** self.power:.2g}")


SGD = Rate(0.025, 0.005, 1, (512, 8192))
"""Goyal et al. 2017 (figure 1): linear scaling from 0.1 for 256 images holds up to 8,192 with a warmup. The rest is a
judgment."""

ADAMW = Rate(1e-3, 2e-4, 0.5, (128, 1024))
"""Malladi et al. 2022: rates of Adam grow with the square root of the batch. The rest is a judgment."""

KINDS = {"sgd": SGD, "nag": SGD, "adamw": ADAMW}
"""The optimizers with suggested rates."""


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
    return suggested_for(word, len(images), context, lambda: _size(images))


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
    verbs, model = _verbs(context), str(context.given.get("base", {}).get("model", ""))
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
    if not optimizer and rates_open and ADAPTIVE.match(model):
        optimizer = "adamw"
        values["optimizer adamw beta1"] = BETA1
    if optimizer == "adamw":
        values["decay rate"] = DECAY
    kind = KINDS.get(optimizer or "sgd")
    if kind is not None and rates_open:
        batch = context.given.get("batch", {}).get("total", fitting.batch)
        values["lr rate"] = kind.of(batch, pretrained, "lr" not in verbs or "lr warmup" in context.words)
        if "lr" not in verbs:
            epochs = context.given.get("epochs", {}).get("count", epochs)
            values |= {"lr warmup epochs": min(fitting.warmup, epochs / 5), "lr cosine floor": 0}
    if takes_any_size(word, context) and (fits := size()):
        values[f"{word} size"] = fits
    return values


def bounded(plan: PlanView) -> Iterator[str]:
    """Yield a warning if the learning rate is suggested for a smaller batch than that of the plan."""
    lr, optimizer = plan.use("lr"), plan.use("optimizer")
    if lr is None or "rate" not in lr.origins or lr.origins["rate"].kind != "suggestion":
        return
    kind = ADAMW if optimizer is not None and optimizer.word == "optimizer adamw" else SGD
    pretrained, warm = plan.base.values.get("weights") is not None, plan.find("lr warmup") is not None
    most = kind.largest[warm]
    if plan.training.batch > most and lr.values["rate"] == kind.of(most, pretrained, warm):
        cold = "" if warm else " if there is no `lr warmup`"
        yield f"the suggested learning rate is that of a batch of {most:,}, the largest one that it grows with{cold}"


def _verbs(context: SuggestContext) -> set[str]:
    return {word.partition(" ")[0] for word in context.words}


def takes_any_size(word: str, context: SuggestContext) -> bool:
    """Whether a recipe leaves the size of its images open, and its model takes any."""
    return bool(ANY_SIZE.match(str(context.given.get("base", {}).get("model", "")))) and not _is_sized(word, context)


def _is_pretrained(context: SuggestContext) -> bool:
    return context.given.get("base", {}).get("weights") is not None


def _is_sized(word: str, context: SuggestContext) -> bool:
    return _is_pretrained(context) or "size" in context.given.get(word, {})


def _is_complete(word: str, context: SuggestContext) -> bool:
    """Whether a recipe leaves nothing open for which something is suggested."""
    stated = _verbs(context) >= {"batch", "epochs", "augment", "loss", "norm", "decay"}
    return stated and "rate" in context.given.get("lr", {}) and _is_sized(word, context)


def _size(images: Sequence[str]) -> int | None:
    """Return the smallest size that keeps the shorter sides of most images, or None for the default."""
    sides = [side for path in images[:: -(-len(images) // SAMPLE)] if (side := shorter_side(path)) is not None]
    typical = sorted(sides)[len(sides) // 2] if sides else SIZES[-1] + 1
    return next((size for size in SIZES if size >= typical), None)
