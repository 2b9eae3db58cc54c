"""The slots that tricks read and write."""

from __future__ import annotations

from collections.abc import Mapping

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

IMAGES = "data"
"""The slot of the trick that opens the images."""

SETTINGS = frozenset(("run", "batch", "base", "data"))
"""Slots of what a recipe trains, on what and for how long: the model, the images, batch, epochs and the like."""

INITIAL_VALUES = frozenset(("init", "norm"))
"""Slots of the values that a model's weights begin with, which change no layer."""
