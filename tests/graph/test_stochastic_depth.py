"""Stochastic depth: its rule, its sites, and what it does to a trunk."""

import pytest
import torch
from torchvision.ops import StochasticDepth

import recipe
from recipe.api import Insert, Layer
from recipe.testing import assert_rewrites
from tests.durability.trials import small

from .helpers import copy_by_name, images, outputs

DROP = "torchvision.ops:StochasticDepth"


def test_the_linear_rule_of_huang():
    edits = tuple(
        Insert(
            f"layer{stage}.{block}.bn2",
            ((f"layer{stage}.{block}.bn2_depth", Layer(DROP, {"p": 0.4 * place / 8, "mode": "row"})),),
            after=True,
        )
        for place, (stage, block) in enumerate(((s, b) for s in (1, 2, 3, 4) for b in (0, 1)), 1)
    )
    assert_rewrites("base resnet18; tweak stochastic-depth 0.4", edits)


def test_evaluation_is_that_of_the_stock_model():
    text = "base resnet18; init kaiming"
    model, stock = recipe.compile(f"{text}; tweak stochastic-depth 0.9").model, recipe.compile(text).model
    copy_by_name(stock, model)
    (ours,), (theirs,) = (outputs(net, images(2, 64), False) for net in (model, stock))
    assert torch.equal(ours, theirs)


def test_an_image_has_its_trunk_left_out_or_scaled_up():
    model = recipe.compile("tweak stochastic-depth 0.5; init kaiming", base=small()).model
    seen = []
    for module in model.modules():
        if isinstance(module, StochasticDepth):
            module.register_forward_hook(lambda module, inputs, result: seen.append((module.p, inputs[0], result)))
    outputs(model, images(400, 32), True)
    assert [p for p, _, _ in seen] == [0.25, 0.5]
    for p, before, after in seen:
        left_out = ~after.flatten(1).any(1)
        assert left_out.double().mean() == pytest.approx(p, abs=0.08)
        torch.testing.assert_close(after[~left_out], before[~left_out] / (1 - p))


def test_it_comes_after_the_gate():
    program = recipe.compile("base resnet50; tweak stochastic-depth se", device="meta")
    users = {str(node.target): [str(user.target) for user in node.users] for node in program.model.graph.nodes}
    assert users["layer1.0.bn3"] == ["layer1.0.bn3_se"]
    assert users["layer1.0.bn3_se"] == ["layer1.0.bn3_se_depth"]


@pytest.mark.parametrize("base", ["efficientnet_b0", "convnext_tiny"])
def test_models_that_come_with_it_are_so_already(base):
    assert_rewrites(f"base {base}; tweak stochastic-depth", {"tweak stochastic-depth": 0})
