"""The slots that tricks read and write, and the order in which people read verbs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

EXCLUSIVE: Mapping[str, str] = {
    "base": "the stock model",
    "stem": "the layers before the first block",
    "trunk": "which convolution of a block carries its stride",
    "shortcut": "how a block's shortcut reduces its resolution",
    "init": "initial values of convolution and fully connected weights",
    "norm": "initial values of the last normalisation of a block",
    "data": "the images",
    "crop": "which part of an image is seen",
    "schedule": "the decay of the learning rate",
    "optimizer": "the rule of the update",
    "head": "what becomes of the features before they are classified",
    "gate": "what weighs the channels of a block",
    "downsampling": "the filter before a resolution is reduced",
    "activation": "the nonlinearity between layers",
    "loss": "the loss of a prediction",
    "resolution": "the size of the images in the course of the training",
    "perturbation": "where the gradients are taken",
    "dtype": "the number format of the computation",
    "average": "the average of the weights that is evaluated",
}
"""Slots that one trick at most may write."""

COMBINED: Mapping[str, str] = {
    "inputs": "each image on its own; in the order that the tricks declare",
    "targets": "the target distribution; before images are mixed",
    "mix": "images and targets together; of several tricks, one is drawn per batch",
    "loss terms": "terms that are added to the loss",
    "groups": "what differs between parameters in the optimizer",
    "branch": "what becomes of a block's trunk before it is added",
    "frozen": "parameters that do not train, for a time",
    "grads": "the gradients, before the update; in the order that the tricks declare",
    "lr": "factors of the learning rate; they multiply",
    "batch": "images an update; what follows from their number comes after",
    "run": "settings of the training that are one trick's own",
}
"""Slots that several tricks may write, with what that means."""

READING_ORDER = (
    "base", "tweak", "init", "data", "augment", "resize", "batch", "epochs", "optimizer", "sam", "clip", "lr", "decay",
    "freeze", "loss", "precision", "layout", "compile", "norm", "ema", "seed",
)  # fmt: skip
"""The order in which people read the verbs of a recipe; other verbs follow, by name."""


def reading_key(word: str) -> tuple[int, str, str]:
    """Sorts a trick's words in reading order, a verb's own value before its clauses."""
    verb, _, clause = word.partition(" ")
    return (READING_ORDER.index(verb) if verb in READING_ORDER else len(READING_ORDER), verb, clause)
