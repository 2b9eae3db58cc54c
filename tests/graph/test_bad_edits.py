"""Edits that don't fit a graph are errors of their trick. Faults of the compiler itself are not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import recipe
from recipe.api import Edit, Initialise, Insert, Layer, SetAttribute, Site, Substitute, Trick, trick
from recipe.base.errors import RecipeError
from recipe.graph import apply
from tests.helpers import vocabulary_with


class Fussy(nn.Module):
    """A layer that refuses every argument in its own way."""

    def __init__(self, error: type[Exception]) -> None:
        raise error("not like this")


FUSSY = "tests.graph.test_bad_edits:Fussy"


def compiled(edit: Edit) -> recipe.Program:
    @trick("odd", writes=("stem",))
    class Odd(Trick):
        """Make one edit."""

        def rewrite(self, net: Any) -> Any:
            return [Site("conv1", (edit,))]

    return recipe.compile("base resnet18; init stock; odd", device="meta", plugins=vocabulary_with(Odd))


def layer(kind: str, **arguments: Any) -> tuple[tuple[str, Layer], ...]:
    return (("extra", Layer(kind, arguments)),)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (SetAttribute("conv9", "stride", 1, 2), "conv9 is not a module that the model calls"),
        (SetAttribute("conv1", "strides", 1, 2), "conv1.strides is not 1"),
        (SetAttribute("conv1", "stride", (1, 1), (2, 2)), "conv1.stride is not (1, 1)"),
        (SetAttribute("layer1.0.relu#1", "inplace", True, False), "layer1.0.relu#1 is only one of several calls"),
        (Substitute("conv9", layer("Identity")), "conv9 is not a module that the model calls"),
        (Insert("conv9", layer("Identity")), "the model has no node at `conv9`; did you mean `conv1`?"),
        (Insert("conv1", ()), "the chain to insert at conv1 is empty"),
        (Insert("conv1", (("fc", Layer("Identity")),)), "the address `fc` is already in use"),
        (Insert("conv1", (("", Layer("Identity")),)), "a module can't be added at ``"),
        (Insert("conv1", (("conv1.weight.x", Layer("Identity")),)), "a module can't be added at `conv1.weight.x`"),
        (Insert("conv1", layer("Identitty")), "torch.nn has no `Identitty`; did you mean `Identity`?"),
        (Insert("conv1", layer("no.such:Layer")), "no.such:Layer() can't be created: No module named 'no'"),
        (Insert("conv1", layer("Conv2d")), "Conv2d() can't be created: "),
        (Insert("conv1", layer(FUSSY, error=KeyError)), "can't be created: 'not like this'"),
        (Insert("conv1", layer(FUSSY, error=OSError)), "can't be created: not like this"),
        (Insert("conv1", layer("collections:OrderedDict")), "collections:OrderedDict() is not a module"),
        (Initialise("conv9.weight", "zeros"), "the model has no parameter `conv9.weight`"),
        (Initialise("conv1.weight", "magic"), "torch.nn.init has no `magic_`"),
        (Initialise("conv1.weight", "normal", {"stdd": 1}), "conv1.weight can't be initialized: "),
        (Initialise("bn1.weight", "xavier_uniform"), "bn1.weight can't be initialized: Fan in and fan out"),
    ],
)  # fmt: skip
def test_an_edit_that_does_not_fit_is_an_error_of_its_trick(edit: Edit, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        compiled(edit)
    (error,) = caught.value.diagnostics
    assert (error.code, error.span and error.span.text) == ("E105", "odd")
    assert error.message.startswith("`odd` from theirs can't be applied to `resnet18`: ")
    assert said in error.message


@pytest.mark.parametrize("scheme", ["dirac", "orthogonal", "trunc_normal", "normal", "ones"])
def test_every_scheme_of_torch_works(scheme: str) -> None:
    program = compiled(Initialise("layer1.0.conv1.weight", scheme))
    filled = recipe.compile(program.plan).model.get_parameter("layer1.0.conv1.weight")
    assert filled.isfinite().all()
    if scheme == "dirac":
        assert torch.equal(filled.sum((2, 3)), torch.eye(64))


@pytest.mark.parametrize("fault", [AttributeError, KeyError, TypeError, AssertionError])
def test_a_fault_of_the_compiler_is_not_reported_as_one_of_the_trick(
    fault: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise fault("ours")

    monkeypatch.setattr(apply, "_set", broken)
    with pytest.raises(fault, match="ours"):
        compiled(SetAttribute("conv1", "stride", (2, 2), (1, 1)))
