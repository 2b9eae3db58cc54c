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


@attrs.frozen
class Fitting:
    """What fits datasets of some size."""

    batch: int
    epochs: int
    pretrained_epochs: int
    warmup: int


RANGES = {1_000: Fitting(16, 60, 20, 3), 10_000: Fitting(64, 30, 10, 2), MOST: Fitting(128, 30, 10, 2)}
"""What fits up to this number of images."""

RATES = {"sgd": (0.1 / 256, 0.02 / 256), "adamw": (1e-3 / 64, 2e-4 / 64)}
"""The learning rates per image of a batch of each kind of optimizer, from scratch and from pretrained weights."""

LARGEST = {"sgd": (512, 8192), "adamw": (128, 256)}
"""The largest batch with which the rate still grows, without and with a warmup, for each kind of optimizer.

Goyal et al. 2017 (figure 1) find that linear scaling with a warmup holds up to 8,192 for SGD. The others are a
judgment: without a warmup, 0.2 for SGD, and rates that published recipes have for AdamW.
"""


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
    verbs = {word.partition(" ")[0] for word in context.words}
    pretrained = _is_pretrained(context)
    batch = context.given.get("batch", {}).get("total", fitting.batch)
    epochs = fitting.pretrained_epochs if pretrained else fitting.epochs
    values: dict[str, Any] = {"batch total": fitting.batch, "epochs count": epochs}
    epochs = context.given.get("epochs", {}).get("count", epochs)
    optimizer = next((word.partition(" ")[2] for word in context.words if word.startswith("optimizer ")), "sgd")
    if optimizer in ("sgd", "nag", "adamw") and "lr per" not in context.words:
        warm = "lr" not in verbs or "lr warmup" in context.words
        values["lr rate"] = _rate("adamw" if optimizer == "adamw" else "sgd", pretrained, batch, warm)
        if "lr" not in verbs:
            values |= {"lr warmup epochs": min(fitting.warmup, epochs / 5), "lr cosine floor": 0}
    takes_any = ANY_SIZE.match(str(context.given.get("base", {}).get("model", "")))
    if takes_any and not _is_sized(word, context) and (fits := size()):
        values[f"{word} size"] = fits
    return values


def bounded(plan: PlanView) -> Iterator[str]:
    """Yield a warning if the learning rate is suggested for a smaller batch than that of the plan."""
    lr, optimizer = plan.use("lr"), plan.use("optimizer")
    if lr is None or "rate" not in lr.origins or lr.origins["rate"].kind != "suggestion":
        return
    kind = "adamw" if optimizer is not None and optimizer.word == "optimizer adamw" else "sgd"
    pretrained, warm = plan.base.values.get("weights") is not None, plan.find("lr warmup") is not None
    most = LARGEST[kind][warm]
    if plan.training.batch > most and lr.values["rate"] == _rate(kind, pretrained, most, warm):
        cold = "" if warm else " if there is no `lr warmup`"
        yield f"the suggested learning rate is that of a batch of {most:,}, the largest one that it grows with{cold}"


def _rate(kind: str, pretrained: bool, batch: int, warm: bool) -> float:
    """Return the rate for a batch, which grows with it up to a limit."""
    return float(f"{RATES[kind][pretrained] * min(batch, LARGEST[kind][warm]):.2g}")


def _is_pretrained(context: SuggestContext) -> bool:
    return context.given.get("base", {}).get("weights") is not None


def _is_sized(word: str, context: SuggestContext) -> bool:
    return _is_pretrained(context) or "size" in context.given.get(word, {})


def _is_complete(word: str, context: SuggestContext) -> bool:
    """Whether a recipe leaves nothing open for which something is suggested."""
    verbs = {word.partition(" ")[0] for word in context.words}
    stated = verbs >= {"batch", "epochs"} and "rate" in context.given.get("lr", {})
    return stated and _is_sized(word, context)


def _size(images: Sequence[str]) -> int | None:
    """Return the smallest size that keeps the shorter sides of most images, or None for the default."""
    sides = [side for path in images[:: -(-len(images) // SAMPLE)] if (side := shorter_side(path)) is not None]
    typical = sorted(sides)[len(sides) // 2] if sides else SIZES[-1] + 1
    return next((size for size in SIZES if size >= typical), None)
