"""Describe a convolution like one that a model has."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from recipe.graph.apply import EditError, make
from recipe.graph.edits import Layer


def convolution_like(convolution: nn.Conv2d, channels: int) -> Layer | None:
    """Return the layer that differs from a convolution in its input channels alone.

    Returns None if that can't be done: the convolution has groups, or its class keeps what it was made with to itself.

    Args:
        convolution: The convolution, of `torch.nn.Conv2d` or a subclass.
        channels: The number of input channels of the layer.
    """
    if convolution.groups != 1:
        return None
    try:
        with torch.device("meta"):
            made = make(_layer(convolution, convolution.in_channels))
    except EditError:
        return None
    return _layer(convolution, channels) if _settings(made) == _settings(convolution) else None


def _layer(convolution: nn.Conv2d, channels: int) -> Layer:
    """Return the layer that is made with the settings of a convolution, as far as it tells them."""
    arguments = dict[str, Any]()
    for name, parameter in [*inspect.signature(type(convolution).__init__).parameters.items()][1:]:
        if name in ("in_channels", "in_channel"):  # timm's StdConv2d has the second
            arguments[name] = channels
        elif name == "bias":
            arguments[name] = convolution.bias is not None
        elif hasattr(convolution, name):
            value, usual = getattr(convolution, name), parameter.default
            if value not in (usual, (usual, usual)):
                arguments[name] = value
    kind = type(convolution)
    own = kind.__module__.startswith("torch.nn.")
    return Layer(kind.__name__ if own else f"{kind.__module__}:{kind.__qualname__}", arguments)


def _settings(layer: nn.Module) -> dict[str, object]:
    """Return what a layer was made with, and the shapes of its parameters."""
    plain = (bool, int, float, str, tuple, type(None))
    settings = {name: value for name, value in vars(layer).items() if name[0] != "_" and isinstance(value, plain)}
    settings.pop("training")
    return {**settings, "kind": type(layer), "shapes": {name: one.shape for name, one in layer.named_parameters()}}
