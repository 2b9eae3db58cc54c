"""A traced graph is correct in training and in evaluation, or the model is rejected."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import recipe
from recipe.base.errors import RecipeError


class Block(nn.Module):
    """A submodule of another model."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Swapped(Block):
    def forward(self, x: Tensor) -> Tensor:
        a, b = self.conv(x), self.conv(2 * x)
        return a - b if self.training else b - a


class Padded(Block):
    def forward(self, x: Tensor) -> Tensor:
        return F.pad(self.conv(x), (1, 1, 1, 1) if self.training else (4, 4, 4, 4))


class Dropping(Block):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.conv(x), 0.5, self.training)


class Holder(nn.Module):
    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block, self.head = block, nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(x).mean((2, 3)))


@pytest.mark.parametrize("kind", [Swapped, Padded, Dropping])
def test_both_modes_match_the_model(kind: type[Block]) -> None:
    torch.manual_seed(0)
    model, x = Holder(kind()), torch.randn(2, 3, 16, 16)
    rewritten = recipe.compile("base module", base=model).model
    for mode in (True, False):
        torch.manual_seed(1)
        expected = model.train(mode)(x)
        torch.manual_seed(1)
        torch.testing.assert_close(rewritten.train(mode)(x), expected)


def test_a_model_whose_own_forward_depends_on_the_mode_is_rejected() -> None:
    class Root(Holder):
        def forward(self, x: Tensor) -> Tensor:
            a, b = self.head(self.block.conv(x).mean((2, 3))), self.head(self.block.conv(-x).mean((2, 3)))
            return a - b if self.training else b - a

    with pytest.raises(RecipeError, match="E102"):
        recipe.compile("base module", base=Root(Swapped()))


class Branching(Block):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) if x.sum() > 0 else self.conv(-x)


class Reading(Block):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, size=int(x.mean())))


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (Branching, "return self.conv(x) if x.sum() > 0 else self.conv(-x)"),
        (Reading, "return self.conv(F.interpolate(x, size=int(x.mean())))"),
    ],
)
def test_the_line_that_cannot_be_traced_is_named_with_its_module(kind: type[Block], line: str) -> None:
    with pytest.raises(RecipeError) as error:
        recipe.compile("base module", base=Holder(kind()))
    (found,) = error.value.diagnostics
    assert found.code == "E102"
    assert f" in `block`, at `{line}` (test_modes.py, line " in found.message


def test_a_tensor_that_is_neither_parameter_nor_buffer_is_rejected() -> None:
    class Constant(Holder):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * torch.tensor(0.5)

    with pytest.raises(RecipeError, match="neither a parameter nor a buffer"):
        recipe.compile("base module", base=Constant(Dropping()))


def test_a_shared_parameter_is_rejected() -> None:
    model = Holder(Dropping())
    model.twin = nn.Linear(4, 5)
    model.twin.weight = model.head.weight
    with pytest.raises(RecipeError, match=r"`head.weight` and `twin.weight` share one parameter"):
        recipe.compile("base module", base=model)


@pytest.mark.parametrize(
    "text", ["base resnet50; tweak D", "base module classes=3", 'base module weights="x.safetensors"']
)
def test_a_recipe_cannot_describe_a_given_model(text: str) -> None:
    with pytest.raises(RecipeError, match="E023"):
        recipe.compile(text, base=Holder(Dropping()))
