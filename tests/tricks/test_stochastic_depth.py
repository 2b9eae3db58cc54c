"""Stochastic depth: its linear rule, its sites, and its effect on a trunk."""

import pytest
import torch
from torchvision.ops import StochasticDepth

import recipe
from recipe.api import Insert, Layer
from recipe.testing import assert_rewrites
from tests.durability.trials import small
from tests.graph.helpers import copy_by_name, images, outputs

DROP = "torchvision.ops:StochasticDepth"


def test_the_rates_follow_the_linear_rule_of_huang():
    edits = tuple(
        Insert(
            f"layer{stage}.{block}.bn2",
            ((f"layer{stage}.{block}.bn2_depth", Layer(DROP, {"p": 0.4 * place / 8, "mode": "row"})),),
            after=True,
        )
        for place, (stage, block) in enumerate(((s, b) for s in (1, 2, 3, 4) for b in (0, 1)), 1)
    )
    assert_rewrites("base resnet18; tweak stochastic-depth 0.4", edits)


def test_evaluation_equals_that_of_the_stock_model():
    text = "base resnet18; init kaiming"
    model, stock = recipe.compile(f"{text}; tweak stochastic-depth 0.9").model, recipe.compile(text).model
    copy_by_name(stock, model)
    (ours,), (theirs,) = (outputs(net, images(2, 64), False) for net in (model, stock))
    assert torch.equal(ours, theirs)


def test_the_trunk_of_an_image_is_dropped_or_scaled_up():
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


def rates(model):
    return [module.p for module in model.modules() if isinstance(module, StochasticDepth)]


@pytest.mark.parametrize(("base", "rate", "blocks"), [("efficientnet_b0", 0.5, 9), ("convnext_tiny", 0.9, 18)])
def test_a_model_with_stochastic_depth_gets_the_rates_of_the_recipe(base, rate, blocks):
    program = assert_rewrites(f"base {base}; tweak stochastic-depth {rate}", {"tweak stochastic-depth": blocks})
    assert {edit.name for edit in program.edits} == {"p"}, "existing modules must be set, and none added"
    set_ones = [program.model.get_submodule(edit.address).p for edit in program.edits]
    assert set_ones == pytest.approx([rate * place / blocks for place in range(1, blocks + 1)])


def test_it_counts_as_already_applied_only_for_equal_rates():
    # ConvNeXt's rates rise from 0 to 0.1, Huang's from 0.1 / 18 to 0.1, so that only the last one is equal.
    program = assert_rewrites("base convnext_tiny; tweak stochastic-depth 0.1", {"tweak stochastic-depth": 17})
    assert program.notes[0] == "tweak stochastic-depth: 17 sites, already applied at 1 site"
    assert_rewrites("tweak stochastic-depth 0.1", {"tweak stochastic-depth": 0}, base=program.model)
    assert_rewrites("tweak stochastic-depth 0.2", {"tweak stochastic-depth": 18}, base=program.model)


def test_the_two_trunks_of_a_transformer_layer_share_a_rate():
    program = assert_rewrites("base swin_t; tweak stochastic-depth 0.6", {"tweak stochastic-depth": 12})
    assert rates(program.model) == pytest.approx([0.6 * place / 12 for place in range(1, 13)])


def test_modules_of_timm_are_set():
    import timm

    model = timm.create_model("convnext_atto", drop_path_rate=0.2)
    program = recipe.compile("tweak stochastic-depth 0.3", base=model, device="meta")
    assert program.model.get_submodule("stages.3.blocks.1.drop_path").drop_prob == pytest.approx(0.3)


def test_modules_derived_from_torchvision_are_set():
    class Derived(StochasticDepth):
        pass

    model = small()
    model.layer1.bn3 = torch.nn.Sequential(model.layer1.bn3, Derived(0.3, "row"))
    program = recipe.compile("tweak stochastic-depth 0.5", base=model, device="meta")
    assert str(program.edits[0]) == "layer1.bn3.1: p 0.3 → 0.25"


def test_both_trunks_of_a_layer_of_timms_transformers_get_its_rate():
    from timm.models.vision_transformer import VisionTransformer

    model = VisionTransformer(img_size=224, patch_size=56, embed_dim=32, depth=3, num_heads=2)
    program = assert_rewrites("tweak stochastic-depth 0.6", {"tweak stochastic-depth": 3}, base=model)
    assert rates(program.model) == pytest.approx([0.2, 0.2, 0.4, 0.4, 0.6, 0.6])
