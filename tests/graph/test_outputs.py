"""A model must return logits: float (N, classes). Anything else is an error that says so."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import recipe
from recipe.base.errors import RecipeError

Pair = namedtuple("Pair", "logits features")


class Model(nn.Module):
    """A network with five logits and four features. ``returns`` makes its result from both."""

    def __init__(self, returns: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.conv, self.fc, self.returns = nn.Conv2d(3, 4, 3), nn.Linear(4, 5), returns

    def forward(self, images: Tensor) -> Any:
        features = self.conv(images).mean((2, 3))
        return self.returns(self.fc(features), features)


def rejected(model: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe.compile("init stock", base=model)
    (error,) = caught.value.diagnostics
    assert error.code == "E102", error
    return error.message


@pytest.mark.parametrize(
    ("returns", "said"),
    [
        (lambda logits, features: (), "must return logits, not tuple"),
        (lambda logits, features: {"logits": logits}, "must return logits, not dict"),
        (lambda logits, features: [logits, features], "must return logits, not list"),
        (lambda logits, features: (logits, None), "must return logits, not tuple"),
        (lambda logits, features: None, "must return logits, not NoneType"),
        (lambda logits, features: "logits", "must return logits, not str"),
        (lambda logits, features: (logits, features), "has an auxiliary output that is not computed by a submodule"),
        (lambda logits, features: Pair(logits, features), "has an auxiliary output that is not computed by a submodu"),
        (lambda logits, features: (features, logits), "logits and auxiliary logits of the shapes (2, 4) and (2, 5)"),
        (lambda logits, features: logits.split(2, 1), "must return logits, not tuple"),
        (lambda logits, features: logits.sum(), "returns an output of shape () for 2 images"),
        (lambda logits, features: logits.argmax(1), "returns an output of shape (2,) for 2 images"),
        (lambda logits, features: logits.T, "returns an output of shape (5, 2) for 2 images"),
        (lambda logits, features: logits[:, :0], "returns an output of shape (2, 0) for 2 images"),
        (lambda logits, features: logits.long(), "returns int64, not floats"),
        (lambda logits, features: logits.to(torch.complex64), "returns complex64, not floats"),
    ],
)
def test_anything_but_logits_is_rejected(returns: Callable[[Tensor, Tensor], Any], said: str) -> None:
    assert f"`Model` {said}" in rejected(Model(returns)).replace("returns logits and", "logits and")


def test_a_tuple_of_only_the_logits_is_taken_apart() -> None:
    program = recipe.compile("init stock", base=Model(lambda logits, features: (logits,)))
    for training in (True, False):
        assert program.model.train(training)(torch.zeros(2, 3, 8, 8)).shape == (2, 5)


@pytest.mark.parametrize("value", [3, nn.Linear, None.__class__, {"conv": nn.Conv2d(3, 4, 3)}])
def test_a_base_that_is_no_module_is_rejected(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^`base` of `recipe\.compile` must be a `torch\.nn\.Module` or None, not "):
        recipe.compile("init stock", base=value)


@pytest.mark.parametrize("kind", [torch.float16, torch.float64])
def test_a_model_of_another_precision_is_rejected(kind: torch.dtype) -> None:
    said = rejected(Model(lambda logits, features: logits).to(kind))
    assert said == f"`conv.weight` of `Model` is {str(kind).removeprefix('torch.')}, not float32"
