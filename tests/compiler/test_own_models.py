"""The graph of a user's own model does all that the model does, or the model is rejected."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import recipe
from recipe.base.errors import RecipeError

RECIPE = "data fake classes=4 images=64 size=32; batch 16; epochs 1; lr 0.01"


class Model(nn.Module):
    """A model that computes its logits in two parts."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(8, 4))
        self.register_buffer("mean", torch.zeros(1))
        self.calls = 0

    def forward(self, x: Tensor) -> Any:
        return self.head(self.body(x))


class WithoutGradient(Model):
    def forward(self, x: Tensor) -> Any:
        with torch.no_grad():
            features = self.body(x)
        return self.head(features)


class WithoutGradientInEvaluation(Model):
    def forward(self, x: Tensor) -> Any:
        with torch.set_grad_enabled(self.training):
            return super().forward(x)


class Autocast(Model):
    def forward(self, x: Tensor) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(x).float()


class WithoutAutocast(Model):
    def forward(self, x: Tensor) -> Any:
        with torch.autocast("cuda", enabled=False):
            features = self.body(x)
        return self.head(features)


class DependsOnAutocast(Model):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x).float() if torch.is_autocast_enabled("cpu") else super().forward(x)


class PythonRandom(Model):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x) * (1 + random.random())


class TorchRandom(Model):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x) * (1 + torch.rand(1).item())


class NumpyRandom(Model):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x) * (1 + np.random.rand())


class OwnRandom(Model):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x) * (1 + np.random.default_rng().random())


class Assigned(Model):
    def forward(self, x: Tensor) -> Any:
        self.mean = 0.9 * self.mean + 0.1 * x.mean().detach()
        return super().forward(x) + self.mean


class AssignedInTraining(Model):
    def forward(self, x: Tensor) -> Any:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean().detach()
        return super().forward(x) + self.mean


class Counting(Model):
    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        return super().forward(x) * (2 if self.calls > 100 else 1)


class FrozenStatistics(Model):
    def train(self, mode: bool = True) -> Model:
        super().train(mode)
        self.body[1].eval()
        return self


class Inner(Model):
    """A model with another one inside."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inner = model

    def forward(self, x: Tensor) -> Any:
        return self.inner(x)


class RandomTensor(Model):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x) * (1 + torch.rand_like(x[:, 0, 0, :1]))


class Detached(Model):
    def forward(self, x: Tensor) -> Any:
        return self.head(self.body(x).detach())


class InPlace(Model):
    mean: Tensor

    def forward(self, x: Tensor) -> Any:
        self.mean.mul_(0.9).add_(0.1 * x.mean().detach())
        return super().forward(x) + self.mean


def forward_hook(model: nn.Module) -> None:
    model.register_forward_hook(lambda layer, inputs, output: 10 * output)


def forward_pre_hook(model: nn.Module) -> None:
    model.register_forward_pre_hook(lambda layer, inputs: (2 * inputs[0] - 1,))


def backward_hook(model: nn.Module) -> None:
    model.register_full_backward_hook(lambda layer, before, after: None)


def statistics_in_evaluation(model: nn.Module) -> None:
    model.get_submodule("body.1").eval()


def parameter_hook(model: nn.Module) -> None:
    model.get_parameter("body.0.weight").register_hook(lambda gradient: 0 * gradient)


def rejected(model: nn.Module) -> str:
    with pytest.raises(RecipeError) as raised:
        recipe.compile(RECIPE, base=model)
    (error,) = raised.value.diagnostics
    assert error.code == "E102", error
    assert error.help
    return error.message


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (WithoutGradient, "changes the gradient mode of torch in its forward"),
        (WithoutGradientInEvaluation, "changes the gradient mode of torch in its forward"),
        (Autocast, "changes the autocast of torch in its forward"),
        (WithoutAutocast, "changes the autocast of torch in its forward"),
        (DependsOnAutocast, "traces to another graph within autocast"),
        (PythonRandom, "draws random numbers that its graph would keep as constants"),
        (TorchRandom, "draws random numbers that its graph would keep as constants"),
        (NumpyRandom, "draws random numbers that its graph would keep as constants"),
        (OwnRandom, "and its graph differ: the outputs in training are not the same"),
        (Assigned, "mean` in its forward, which a graph can't do"),
        (AssignedInTraining, "mean` in its forward, which a graph can't do"),
        (Counting, "in its forward, which is a constant in its graph"),
        (FrozenStatistics, "and its graph differ: the outputs in training are not the same"),
    ],
)
def test_what_a_graph_would_lose_is_rejected(kind: type[Model], said: str, inside: bool) -> None:
    assert said in rejected(Inner(kind()) if inside else kind())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (forward_hook, "it has a hook of its own, which its graph would lose"),
        (forward_pre_hook, "it has a hook of its own, which its graph would lose"),
        (backward_hook, "it has a hook of its own, which its graph would lose"),
        (statistics_in_evaluation, "`body.1` is in evaluation mode and the model in training mode"),
        (parameter_hook, "a parameter of `body.0` has a hook, which a copy would lose"),
    ],
)
def test_what_a_copy_would_lose_is_rejected(change: Callable[[nn.Module], None], said: str) -> None:
    model = Model()
    change(model)
    assert said in rejected(model)


def kept() -> Iterator[nn.Module]:
    yield Model()
    yield Model().eval()
    yield RandomTensor()
    yield Detached()
    yield InPlace()
    for address in ("body", "body.0"):
        model = Model()
        forward_hook(model.get_submodule(address))
        yield model
    model = Model()
    parametrizations.spectral_norm(model.get_submodule("head.3"))
    yield model


@pytest.mark.parametrize("model", [*kept()], ids=lambda model: type(model).__name__)
def test_the_graph_does_what_the_model_does(model: nn.Module) -> None:
    graph, x = recipe.compile(RECIPE, "init stock", base=model).model, torch.rand(4, 3, 32, 32)
    for training in (True, False):
        outputs = []
        for one in (model, graph):
            torch.manual_seed(0)
            outputs.append(one.train(training)(x))
        assert torch.equal(*outputs)
    outputs[0].sum().backward()
    outputs[1].sum().backward()
    for name, parameter in graph.named_parameters():
        torch.testing.assert_close(parameter.grad, model.get_parameter(name).grad)


def test_compiling_leaves_the_model_and_random_numbers_alone() -> None:
    model = InPlace()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    states = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    recipe.compile(RECIPE, base=model)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), str(np.random.get_state())) == states[1:]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
