"""The hooks of a trick: when each is asked, what it must give, and the slots that go with it. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import attrs

from recipe.graph.edits import Layer, Site
from recipe.plugins.evidence import Evidence
from recipe.plugins.settings import Training

if TYPE_CHECKING:
    import torch


@attrs.frozen
class Hook:
    """When a hook is asked, what it gives in words, and whether something is that: a function of it and its arguments.

    A trick that has the hook writes one of ``slots``. What it does wrong has the ``code``; ``lets`` are exceptions that
    tell of what it reads, not of itself.
    """

    when: str
    gives: str
    right: Callable[..., bool]
    slots: tuple[str, ...] = ()
    code: str = "E080"
    lets: tuple[type[Exception], ...] = ()


def _a(*kinds: type) -> Callable[..., bool]:
    return lambda found, *given: isinstance(found, kinds)


def _all(kind: type) -> Callable[..., bool]:
    """Several of a kind, in whatever holds them; a text is one thing, not several."""

    def right(found: Any, *given: Any) -> bool:
        several = isinstance(found, Iterable) and not isinstance(found, str)
        return several and all(isinstance(one, kind) for one in found)

    return right


def _count(found: Any, *given: Any) -> bool:
    return isinstance(found, Integral) and int(found) > 0


def _count_or_none(found: Any, *given: Any) -> bool:
    return found is None or _count(found)


def _shapes(found: Any) -> bool:
    return isinstance(found, Mapping) and all(isinstance(shape, tuple) for shape in found.values())


def _options(found: Any, *given: Any) -> bool:
    """Options by name; parameters are grouped by them, so each is a value that can be looked up."""
    return isinstance(found, Mapping) and _all(str)(found) and isinstance(hash((*found.values(),)), int)


def _tensor(found: Any) -> bool:
    import torch

    return isinstance(found, torch.Tensor)


def _tensors(found: Any) -> bool:
    return isinstance(found, Mapping) and all(map(_tensor, found.values()))


def _one_number(found: Any, *given: Any) -> bool:
    return _tensor(found) and found.numel() == 1


def _like(found: Any, given: torch.Tensor, *more: Any) -> bool:
    return _tensor(found) and found.shape == given.shape


def _each_like(found: Any, given: Sequence[torch.Tensor], *more: Any) -> bool:
    import torch  # once for all: there may be hundreds, in every step

    if not isinstance(found, Sequence) or len(found) != len(given):
        return False
    pairs = zip(found, given, strict=True)
    return all(one is other or (isinstance(one, torch.Tensor) and one.shape == other.shape) for one, other in pairs)


def _mixed(found: Any, images: torch.Tensor, targets: torch.Tensor, draws: Any) -> bool:
    return _each_like(found, (images, targets))


def _boxes(found: Any, draws: Any, heights: Any, widths: Any) -> bool:
    import numpy as np

    return isinstance(found, np.ndarray) and found.shape == (len(heights), 4)


def _side(found: Any, side: int, progress: Any) -> bool:
    return _count(found) and int(found) <= side


def _module(found: Any, *given: Any) -> bool:
    from torch import nn

    return isinstance(found, nn.Module)


def _sets(found: Any) -> bool:
    from recipe.data.images import Sets

    return isinstance(found, Sets)


def _optimizer(found: Any, *given: Any) -> bool:
    import torch

    return isinstance(found, torch.optim.Optimizer)


GRAPH = ("stem", "trunk", "shortcut", "head", "gate", "branch", "downsampling", "activation", "norm", "init")
UNREADABLE = (OSError, ValueError)

HOOKS: Mapping[str, Hook] = {
    "suggest": Hook("plan", "values by verb and field", _a(Mapping)),
    "configure": Hook("plan", "the training", _a(Training)),
    "check": Hook("plan", "warnings, each a text", _all(str)),
    "evidence": Hook("plan", "Evidence", _all(Evidence)),
    "count_classes": Hook("compile", "a whole number, or None", _count_or_none, ("data",), lets=UNREADABLE),
    "build": Hook("compile", "a torch.nn.Module", _module, ("base",), lets=(Exception,)),
    "image_size": Hook("compile", "a whole number of pixels", _count, ("base",)),
    "weight_shapes": Hook("compile", "shapes by name", _shapes, ("base",)),
    "rewrite": Hook("compile", "sites", _all(Site), GRAPH, code="E105"),
    "count_images": Hook("compile", "a whole number, or None", _count_or_none, ("data",), lets=UNREADABLE),
    "open": Hook("train", "Sets of images", _sets, ("data",), lets=(*UNREADABLE, MemoryError, RuntimeError)),
    "load_weights": Hook("train", "tensors by name", _tensors, ("base",)),
    "param_options": Hook("train", "options by name", _options, ("groups",)),
    "optimize": Hook("train", "a torch.optim.Optimizer", _optimizer, ("optimizer",)),
    "lr_factor": Hook("each step", "a number", _a(Real), ("lr", "schedule")),
    "crop_box": Hook("each batch", "boxes (N, 4), as an array", _boxes, ("crop",)),
    "augment": Hook("each batch", "the images (N, 3, H, W)", _like, ("inputs",)),
    "smooth_targets": Hook("each batch", "the targets (N, K)", _like, ("targets",)),
    "mix": Hook("each batch", "images (N, 3, H, W) and targets (N, K)", _mixed, ("mix",)),
    "resolution": Hook("each step", "a whole number of pixels, from 1 to the side", _side, ("resolution",)),
    "frozen": Hook("each step", "names of parameters", _all(str), ("frozen",)),
    "loss": Hook("each batch", "one number, as a tensor", _one_number, ("loss",)),
    "loss_term": Hook("each batch", "one number, as a tensor", _one_number, ("loss terms",)),
    "perturb": Hook("each step", "a step for each weight", _each_like, ("perturbation",)),
    "adjust": Hook("each step", "each gradient", _each_like, ("grads",)),
    "average": Hook("each step", "None: it changes the averages in place", _a(type(None)), ("average",)),
    "constructor": Hook("export", "a Layer, or None", _a(Layer, type(None)), ("base",)),
}
"""Every hook of `Trick`, in the order in which a recipe meets them."""
