"""What distinguishes a model from the one that its recipe describes: its weights, its settings, its code."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, fx, nn

LIBRARIES = ("torch", "torchvision", "timm")
"""Packages whose versions a run records, so that the code of their layers doesn't count as part of a model."""

HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers of a module by name, including shared ones under every name."""
    return dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))


def settings_of(module: nn.Module) -> dict[str, object]:
    """Return a module's settings other than tensors, such as strides and dropout rates. The mode is not one of them."""
    settings = {name: value for name, value in sorted(vars(module).items()) if name[0] != "_" and _plain(value)}
    settings.pop("training", None)
    return settings


def _plain(value: object) -> bool:
    """Whether a value has the same text in every process."""
    if isinstance(value, (tuple, list)):
        return all(map(_plain, value))
    return isinstance(value, (bool, int, float, str, type(None), torch.dtype))


def hooks_of(module: nn.Module) -> list[Any]:
    """Return the functions that are registered to run with a module or with the gradients of its parameters."""
    return [hook for kind in HOOKS for hook in getattr(module, kind, {}).values()] + gradient_hooks(module)


def gradient_hooks(module: nn.Module) -> list[Any]:
    """Return the functions that are registered to run with the gradients of a module's own parameters."""
    hooks = list[Any]()
    for parameter in module.parameters(recurse=False):
        for kind in ("_backward_hooks", "_post_accumulate_grad_hooks"):
            hooks += (getattr(parameter, kind, None) or {}).values()
    return hooks


def own_digest(plan: str, structure: fx.GraphModule, module: nn.Module) -> str:
    """Return a digest of a user's own model and its weights, which the plan's digest does not cover."""
    digest = hashlib.sha256(f"{plan}\n{_code_of(structure)}".encode())
    for name, layer in structure.named_modules():  # not in the code: strides, dropout rates
        digest.update(f"{name} {_described(layer)}".encode())
    trained = {name: parameter.requires_grad for name, parameter in structure.named_parameters()}
    for name, tensor in sorted(tensors_of(module).items()):
        about = f"{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.requires_grad} {trained.get(name)}"
        digest.update(about.encode())
        digest.update(_bytes_of(tensor))
    return digest.hexdigest()[:16]


def are_equal(model: fx.GraphModule, fresh: fx.GraphModule) -> bool:
    """Whether two models of the same form have the same values, and train the same parameters."""
    here, there = tensors_of(model), tensors_of(fresh)
    return all(
        value.requires_grad == there[name].requires_grad and _bytes_of(value) == _bytes_of(there[name])
        for name, value in here.items()
    )


def _bytes_of(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def changed_part(model: fx.GraphModule, fresh: fx.GraphModule) -> str | None:
    """Return what of a model differs from a fresh one in more than its values: a layer, or the graph. None if nothing.

    A run folder has no record of such a change, and the costs and edits of its program don't show it.
    """
    if _code_of(model) != _code_of(fresh):
        return "the graph"
    here, there = _forms(model), _forms(fresh)
    for address in [*there, *here]:
        if here.get(address) != there.get(address):
            return f"`{address}`" if address else "the model"
    return None


def _forms(model: fx.GraphModule) -> Mapping[str, object]:
    forms = {}
    for address, layer in model.named_modules():
        own = [*layer._parameters.items(), *layer._buffers.items()]
        tensors = [(name, tensor.dtype, tensor.shape) for name, tensor in own if tensor is not None]
        forms[address] = (_described(layer), tensors, layer.training == model.training)
    return forms


def _code_of(model: fx.GraphModule) -> str:
    return model.graph.python_code("self").src


def _described(layer: nn.Module) -> str:
    """Describe all of a layer but its tensors and the layers in it."""
    if isinstance(layer, fx.GraphModule):  # the class is made for each graph
        kind = "graph"
    else:
        kind = f"{type(layer).__module__}.{type(layer).__qualname__}"
        if type(layer).__module__.partition(".")[0] not in LIBRARIES:
            kind += f" {_source(type(layer))}"
    replaced = [_source(value) for name, value in vars(layer).items() if name == "forward"]
    return f"{kind} {settings_of(layer)} {[*map(_source, hooks_of(layer))]} {replaced}"


def _source(thing: Any) -> str:
    """Return the source of a class or a function, or its name if there is no source."""
    code: Any = thing if isinstance(thing, type) else getattr(thing, "__code__", type(thing))
    name = getattr(thing, "__qualname__", type(thing).__qualname__)
    return f"{name} {_text_of(code)}"


@cache
def _text_of(code: Any) -> str:
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        return ""
