"""The slots that tricks read and write."""

from __future__ import annotations

from collections.abc import Mapping

EXCLUSIVE: Mapping[str, str] = {
    "base": "the stock model",
    "stem": "the layers before the first block",
    "trunk": "the convolution in a block that has the stride",
    "shortcut": "how a block's shortcut reduces the resolution",
    "init": "the initial weights of convolutions and fully connected layers",
    "norm": "the initial values of a block's last normalization",
    "data": "the images",
    "order": "the images of each epoch, and their order",
    "crop": "the part of each image that is used",
    "schedule": "the decay of the learning rate",
    "optimizer": "the update rule",
    "head": "how features are processed before they are classified",
    "gate": "how the channels of a block are weighted",
    "downsampling": "the filter before downsampling",
    "activation": "the nonlinearity between layers",
    "loss": "the loss function",
    "resolution": "the image size over the course of training",
    "perturbation": "the point where gradients are computed",
    "dtype": "the precision of the computation",
    "average": "the average of the weights that is evaluated",
    "kept": "the evaluation whose weights the run keeps",
}
"""Slots that at most one trick may write."""

COMBINED: Mapping[str, str] = {
    "channels": "the channels of the images that the network takes",
    "inputs": "each image separately, in the order that the tricks declare",
    "targets": "the target distribution, before images are mixed",
    "mix": "images and targets together; with several tricks, one is drawn for each batch",
    "loss terms": "terms that are added to the loss",
    "groups": "optimizer options that differ between parameters",
    "branch": "the output of a block's trunk before it is added to the shortcut",
    "frozen": "parameters that are not trained for some of the time",
    "grads": "the gradients before the update, in the order that the tricks declare",
    "lr": "factors of the learning rate, which are multiplied",
    "batch": "the number of images per update; tricks that depend on it come after",
    "run": "training settings that only one trick sets",
}
"""Slots that several tricks may write, with the effect."""

IMAGES = "data"
"""The slot of the trick that opens the images."""

BATCH_SIZE = "batch"
"""The slot of the number of images per update."""

LAYERS = "init"
"""The slot of the trick that initializes the layers."""

SETTINGS = frozenset(("run", "batch", "base", "data"))
"""Slots that determine what is trained, on what and for how long: the model, images, batch size, epochs and so on."""

INITIAL_VALUES = frozenset(("init", "norm"))
"""Slots for the initial values of a model's weights. They don't change layers."""
