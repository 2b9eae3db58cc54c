"""A model of the user's own: copy it, and check that its graph does all that the model does."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, fx, nn

from recipe.base.errors import fail
from recipe.base.source import Span
from recipe.base.wording import reason_of
from recipe.compiler.identity import HOOKS, gradient_hooks, settings_of
from recipe.graph.net import Net
from recipe.graph.trace import trace

SIDE = 64
"""Side of the images on which a model and its graph are compared, in pixels. If it is too small, that of the recipe."""

IMAGES = 4

TOLERANCE = 1e-4
"""The largest difference between values of a model and its graph, relative to the largest value."""


def copied(module: nn.Module, span: Span | None) -> nn.Module:
    """Copy a user's own model to the meta device. Raises `RecipeError` (E102) if a graph or a copy loses a part of it.

    ``span`` is the recipe's statement about the model.
    """
    name_of_class = type(module).__name__
    kinds = {name: p.dtype for name, p in module.named_parameters() if p.is_floating_point()}
    if other := next((name for name, kind in kinds.items() if kind != torch.float32), None):
        message = f"`{other}` of `{name_of_class}` is {str(kinds[other]).removeprefix('torch.')}, not float32"
        help = "convert the model with `.float()`; the recipe's `precision` chooses that of the computation"
        raise fail("E102", message, span, help=help)
    names: dict[int, str] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        owner = names.setdefault(id(parameter), name)
        shared = module.get_submodule(name.rpartition(".")[0]) is module.get_submodule(owner.rpartition(".")[0])
        if owner != name and not shared:
            why = f"`{owner}` and `{name}` share one parameter, which a rewrite would split"
            raise fail("E102", f"`{name_of_class}` can't be used: {why}", span)
    if part := lost(module):
        raise fail("E102", f"`{name_of_class}` can't be used: {part[0]}", span, help=part[1])
    try:
        return copy.deepcopy(module).to("meta")
    except Exception as error:  # a model's own code may raise anything
        raise fail("E102", f"`{name_of_class}` can't be copied: {error}", span) from error


def lost(module: nn.Module) -> tuple[str, str] | None:
    """Return what of a model its graph would lose, and what to do about it."""
    if any(getattr(module, kind, None) for kind in HOOKS):
        return "it has a hook of its own, which its graph would lose", "put what the hook does into its forward"
    for address, layer in module.named_modules():
        if gradient_hooks(layer):
            return f"a parameter of `{address}` has a hook, which a copy would lose", "remove it"
        if layer.training != module.training:
            modes = ["training" if mode else "evaluation" for mode in (layer.training, module.training)]
            why = f"`{address}` is in {modes[0]} mode and the model in {modes[1]} mode, which training does not keep"
            help = (
                "call `.train()` on the model; to keep the statistics of a normalization, replace it with a layer "
                "that has no running ones, such as `torchvision.ops.FrozenBatchNorm2d`"
            )
            return why, help
    return None


def see_autocast_kept(module: nn.Module, graph: fx.GraphModule, span: Span | None) -> None:
    """Raise `RecipeError` (E102) if a forward turns autocast off or depends on it, which its graph would lose.

    ``module`` is a copy on the meta device.
    """
    kinds = ("cpu", "cuda")
    before = [torch.is_autocast_enabled(kind) for kind in kinds]
    try:
        for kind in kinds:
            torch.set_autocast_enabled(kind, True)
        other = trace(module, type(module).__name__)
    finally:
        for kind, enabled in zip(kinds, before, strict=True):
            torch.set_autocast_enabled(kind, enabled)
    if other.code != graph.code:
        help = "let the forward do the same each time, with and without autocast; the recipe's `precision` chooses it"
        message = f"`{type(module).__name__}` traces to another graph within autocast"
        raise fail("E102", message, span, help=help)


def compare(module: nn.Module, graph: fx.GraphModule, size: int, span: Span | None) -> None:
    """Run a model and its graph, which has the same weights, in both modes. Raises `RecipeError` (E102) if they differ.

    The images have ``size`` pixels at most. A module on the meta device has no values to compare.
    """
    device = next((tensor.device for tensor in module.state_dict().values()), torch.device("cpu"))
    if device.type == "meta":
        return
    name, graph, reason = type(module).__name__, graph.to(device), ""
    for side in dict.fromkeys((min(SIDE, size), size)):
        model = copy.deepcopy(module)
        before = {address: settings_of(layer) for address, layer in model.named_modules()}
        try:
            own, other = (_results(one, graph, side, device) for one in (model, copy.deepcopy(graph)))
        except Exception as error:  # a model's own code may raise anything
            reason = reason_of(error)
            continue
        for address, layer in model.named_modules():
            if settings_of(layer) != before[address]:
                where = f"`{address}`" if address else "the model"
                message = f"`{name}` changes a value of {where} in its forward, which is a constant in its graph"
                raise fail("E102", message, span, help="keep it in a buffer, and change that in place")
        for kind, values in own.items():
            if not all(map(_close, values, other[kind])):
                help = (
                    "compute the outputs from images, parameters and buffers alone, in operations of torch; "
                    "a graph keeps no other values, contexts, hooks or overridden methods such as `train`"
                )
                raise fail("E102", f"`{name}` and its graph differ: {kind} are not the same", span, help=help)
        return
    raise fail("E102", f"`{name}` can't be run on {IMAGES} images of {size} × {size} pixels: {reason}", span)


def _results(model: nn.Module, graph: fx.GraphModule, side: int, device: torch.device) -> dict[str, list[Tensor]]:
    """Run a model. Its ``graph`` names the parameters and buffers to look at: those that its outputs depend on."""
    images = torch.rand(IMAGES, Net(graph).channels, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    values = dict[str, list[Tensor]]()
    with _seeded(device):
        outputs = _tensors(model.train()(images))
        values["the outputs in training"] = [output.detach() for output in outputs]
        if any(output.requires_grad for output in outputs):
            sum(output.square().sum() for output in outputs if output.requires_grad).backward()  # type: ignore[union-attr]
    parameters = [model.get_parameter(name) for name, _ in graph.named_parameters()]
    values["the gradients in training"] = [
        torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in parameters
    ]
    with _seeded(device), torch.no_grad():
        values["the outputs in evaluation"] = _tensors(model.eval()(images))[:1]
    values["the buffers after a step"] = [model.get_buffer(name).detach() for name, _ in graph.named_buffers()]
    return values


def _tensors(outputs: object) -> list[Tensor]:
    return [part for part in (outputs if isinstance(outputs, tuple) else (outputs,)) if isinstance(part, Tensor)]


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype or not one.numel():
        return one.shape == other.shape and one.dtype == other.dtype
    if one.is_complex():
        one, other = torch.view_as_real(one), torch.view_as_real(other)
    one, other = one.double(), other.double()
    scale = float(one.nan_to_num(0.0, 0.0, 0.0).abs().max())
    return torch.allclose(one, other, rtol=0.0, atol=TOLERANCE * scale, equal_nan=True)


@contextlib.contextmanager
def _seeded(device: torch.device) -> Iterator[None]:
    """A context with the same random numbers each time, which restores those of the caller."""
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
