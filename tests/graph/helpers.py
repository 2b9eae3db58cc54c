"""Helpers for tests of rewrites: ways to compare two models."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

import recipe
from recipe.compiler.program import Program
from recipe.tricks._models import MODELS
from tests.helpers import sample


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def copy_by_name(source: nn.Module, target: nn.Module) -> None:
    """Copy all parameters and buffers; both must have the same names."""
    target.load_state_dict(source.state_dict())


def copy_by_position(source: nn.Module, target: nn.Module) -> None:
    """Copy all parameters and buffers in the order of the state dicts, regardless of names; shapes must match."""
    values = list(source.state_dict().values())
    target.load_state_dict(dict(zip(target.state_dict(), values, strict=True)))


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Set parameters and running statistics to values that no initializer produces, so that each has an effect."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var") or (name.endswith("weight") and tensor.ndim == 1):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.is_floating_point() and tensor.ndim == 1:
                tensor.normal_(0, 0.1, generator=generator)


def images(count: int, size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def outputs(model: nn.Module, inputs: torch.Tensor, training: bool) -> tuple[torch.Tensor, ...]:
    """Return all outputs of a model, with the same random numbers in each call."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        result = model.train(training)(inputs)
    return tuple(result) if isinstance(result, tuple) else (result,)


QUICK = ("resnet18", "mobilenet_v2", "vgg11")


def classifiers() -> list[Any]:
    """Return names of torchvision's classifiers for `parametrize`: the quick ones, and a sample of the others.

    One worker runs all tests of a model and compiles it once. All but the quick ones are marked slow.
    """
    others = sample([name for name in MODELS if name not in QUICK], 20)
    return [
        pytest.param(name, marks=[pytest.mark.xdist_group(f"stock {name}"), *[pytest.mark.slow] * (name not in QUICK)])
        for name in (*QUICK, *others)
    ]


@cache
def stock_program(name: str) -> Program:
    """Compile a stock model on the meta device."""
    return recipe.compile(f"base {name}; init stock", device="meta")
