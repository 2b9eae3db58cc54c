"""Each parameter that a rewrite adds or removes must be declared by an edit."""

from __future__ import annotations

import pytest

from recipe.base.errors import RecipeError
from recipe.graph.apply import Shapes, account
from recipe.graph.edits import Edit, Insert, Layer, SetAttribute, Substitute

NORM = Layer("BatchNorm2d", {"num_features": 8})
BEFORE: Shapes = {"conv.weight": (8, 3, 3, 3), "fc.weight": (10, 8)}
REPLACED = Substitute("conv", (("conv.small", NORM),))
INSERTED = Insert("conv", (("conv_norm", NORM),), after=True)
STRIDE = SetAttribute("conv", "stride", (1, 1), (2, 2))


@pytest.mark.parametrize(
    ("after", "edits"),
    [
        (BEFORE, ()),
        (BEFORE, (STRIDE,)),
        ({"fc.weight": (10, 8), "conv.small.weight": (8,)}, (REPLACED,)),
        ({**BEFORE, "conv_norm.weight": (8,), "conv_norm.bias": (8,)}, (INSERTED,)),
        ({"fc.weight": (10, 8)}, (Substitute("conv", ()),)),
    ],
)
def test_parameters_that_edits_declare_are_accepted(after: Shapes, edits: tuple[Edit, ...]) -> None:
    account("tweak odd", BEFORE, after, edits)


@pytest.mark.parametrize(
    ("after", "edits", "said"),
    [
        ({"fc.weight": (10, 8)}, (), "removes the parameter `conv.weight`, but none of its edits replaces it"),
        ({"fc.weight": (10, 8)}, (STRIDE, INSERTED), "removes the parameter `conv.weight`"),
        ({**BEFORE, "fc.weight": (12, 8)}, (REPLACED,), "removes the parameter `fc.weight`"),
        ({**BEFORE, "bias": (8,)}, (), "adds the parameter `bias`, but none of its edits declares it"),
        ({**BEFORE, "conv_norm2.weight": (8,)}, (INSERTED,), "adds the parameter `conv_norm2.weight`"),
    ],
)
def test_parameters_that_no_edit_declares_are_rejected(after: Shapes, edits: tuple[Edit, ...], said: str) -> None:
    with pytest.raises(RecipeError, match="E104") as caught:
        account("tweak odd", BEFORE, after, edits)
    assert f"`tweak odd` {said}" in str(caught.value)
