"""The parameters to which weight decay applies."""

import pytest
from torch import nn

import recipe
from recipe.base.errors import RecipeError
from recipe.compiler.groups import optimizer_groups


def decays(text):
    """Return the weight decay of each parameter by name, and the model."""
    program = recipe.compile(text, device="meta")
    groups = optimizer_groups(program.groups, program.model)
    assert all(len(group["names"]) == len(group["params"]) for group in groups)
    return {name: group["weight_decay"] for group in groups for name in group["names"]}, program.model


def names(model, kinds, parameter):
    return {
        f"{address}.{parameter}"
        for address, module in model.named_modules()
        if isinstance(module, kinds) and getattr(module, parameter) is not None
    }


@pytest.mark.parametrize("base", ["resnet50; tweak C D", "mobilenet_v2", "vgg11_bn", "inception_v3"])
@pytest.mark.parametrize("dialect", ["paper", "gluoncv"])
def test_only_the_weights_of_convolutions_and_fully_connected_layers_decay(base, dialect):
    found, model = decays(f"base {base}; dialect {dialect}; decay 3e-4 no-bias")
    assert found.keys() == {name for name, _ in model.named_parameters()}
    assert {name for name, decay in found.items() if decay} == names(model, (nn.Conv2d, nn.Linear), "weight")
    assert set(found.values()) == {3e-4, 0.0}


def test_gamma_and_beta_decay_in_the_torchvision_dialect():
    found, model = decays("base resnet50; dialect torchvision; decay no-bias")
    assert {name for name, decay in found.items() if not decay} == {"fc.bias"}
    assert len(found) == len(list(model.parameters()))


def test_without_no_bias_everything_decays():
    found, model = decays("base resnet50; decay 1e-3")
    assert found == dict.fromkeys(dict(model.named_parameters()), 1e-3)


def test_each_parameter_is_in_exactly_one_group():
    program = recipe.compile("base resnet50; decay no-bias", device="meta")
    groups = optimizer_groups(program.groups, program.model)
    assert len(groups) == 2
    assert sum(parameter.numel() for group in groups for parameter in group["params"]) == program.costs.params
    assert [len(group["params"]) for group in sorted(groups, key=lambda group: group["weight_decay"])] == [107, 54]


def test_frozen_parameters_are_in_no_group():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    module[0].weight.requires_grad_(False)
    program = recipe.compile("decay no-bias", base=module)
    assert {n for group in optimizer_groups(program.groups, program.model) for n in group["names"]} == {
        "0.bias",
        "3.weight",
        "3.bias",
    }


def test_freezing_after_compiling_is_allowed_but_unfreezing_is_an_error():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    module[0].weight.requires_grad_(False)
    program = recipe.compile("decay no-bias", base=module)
    program.model.get_parameter("0.bias").requires_grad_(False)
    assert {n for group in optimizer_groups(program.groups, program.model) for n in group["names"]} == {
        "3.weight",
        "3.bias",
    }
    program.model.get_parameter("0.weight").requires_grad_(True)
    with pytest.raises(RecipeError, match=r"`0\.weight` was frozen when the recipe was compiled"):
        optimizer_groups(program.groups, program.model)


@pytest.mark.parametrize("name", ["vit_b_16", "convnext_tiny", "swin_t"])
def test_layer_norms_and_vectors_do_not_decay(name):
    found, model = decays(f"base {name}; decay no-bias")
    flat = {name for name, parameter in model.named_parameters() if parameter.ndim == 1}
    assert flat
    assert not any(found[name] for name in flat)
    assert all(found[name] for name in names(model, (nn.Conv2d, nn.Linear), "weight") if name in found)


@pytest.mark.parametrize("base", ["convnext_tiny", "timm:convnext_atto", "timm:mobilenetv4_conv_small"])
def test_norms_decay_applies_to_all_kinds_of_normalization(base):
    found, model = decays(f"base {base}; decay no-bias norms=decay")
    stock = recipe.compile(f"base {base}").plan.base.trick.build(None)
    norms = {
        f"{address}.{name}"
        for address, module in stock.named_modules()
        if "Norm" in type(module).__name__
        for name, _ in module.named_parameters(recurse=False)
    }
    assert norms
    flat = {name for name, parameter in model.named_parameters() if parameter.ndim == 1}
    assert {name for name in flat if found[name]} == norms
