"""timm as an oracle: its `c` and `d` ResNets equal torchvision's with the paper's tweaks. Rewrites of its models.

RECIPE_TEST_MORE=3 tests all models and depths, not only a sample.
"""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import recipe
from recipe.graph.shapes import on_meta
from recipe.testing import assert_rewrites
from tests.graph.helpers import copy_by_name, copy_by_position, images, outputs, randomise
from tests.helpers import sample

timm = pytest.importorskip("timm")


@pytest.mark.parametrize(
    ("base", "tweaks", "twin"),
    [
        ("resnet18", "C D", "resnet18d"),
        ("resnet34", "C D", "resnet34d"),
        ("resnet50", "C", "resnet50c"),
        ("resnet50", "C D", "resnet50d"),
        pytest.param("resnet101", "C D", "resnet101d", marks=pytest.mark.slow),
        pytest.param("resnet152", "C D", "resnet152d", marks=pytest.mark.slow),
    ],
)
def test_a_tweaked_resnet_equals_timms(base, tweaks, twin):
    model = recipe.compile(f"base {base}; tweak {tweaks}; init kaiming").model
    oracle = timm.create_model(twin)
    randomise(model)
    copy_by_position(model, oracle)
    for training in (False, True):
        (ours,), (theirs,) = (outputs(net, images(2, 96), training) for net in (model, oracle))
        assert ours.std() > 0.01
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(model.buffers(), oracle.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)  # the training pass changed the running statistics in the same way


@pytest.mark.parametrize("size", [95, 97, 33])
def test_tweak_d_matches_timm_for_odd_sizes(size):
    model = recipe.compile("base resnet18; tweak C D").model
    oracle = timm.create_model("resnet18d")
    copy_by_position(model, oracle)
    (ours,), (theirs,) = (outputs(net, images(2, size), False) for net in (model, oracle))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


BLOCKS50, DOWNSAMPLING = 3 + 4 + 6 + 3, 3


@pytest.mark.parametrize(
    ("tweaks", "sites"),
    [
        ("tweak A", {"tweak A": DOWNSAMPLING}),
        ("tweak B", {"tweak B": 0}),
        ("tweak C", {"tweak C": 1}),
        ("tweak D", {"tweak D": DOWNSAMPLING}),
        ("init zero-gamma", {"init zero-gamma": BLOCKS50}),
    ],
)
@pytest.mark.parametrize("name", ["resnet50", "seresnet50", "resnext50_32x4d"])
def test_rewrites_of_timm_resnets(name, tweaks, sites):
    assert_rewrites(f"base timm:{name}; {tweaks}", sites)


def test_timm_resnet50_with_tweaks_equals_its_resnet50d():
    program = assert_rewrites("base timm:resnet50; tweak C D", {"tweak C": 1, "tweak D": DOWNSAMPLING})
    twin = assert_rewrites("base timm:resnet50d; tweak C D", {"tweak C": 0, "tweak D": 0})
    assert program.costs.total == twin.costs.total
    assert twin.notes == ("tweak C: already applied at 1 site", "tweak D: already applied at 3 sites")


FAMILIES = (
    "densenet121", "efficientnet_b0", "mobilenetv3_small_050", "resnetv2_50", "resnet18", "seresnet18",
    "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "convnext_atto",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(FAMILIES, 4))
def test_the_graph_computes_the_same_as_the_timm_model_in_both_modes(name):
    program = recipe.compile(f"base timm:{name}; init stock")
    stock = timm.create_model(name)
    copy_by_name(program.model, stock)
    for training in (True, False):
        (ours,), (theirs,) = (outputs(net, images(2, 224), training) for net in (program.model, stock))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_model_that_fits_its_positions_to_the_image_takes_any_size():
    stock = timm.create_model("test_vit").eval()
    model = recipe.compile("base timm:test_vit; init stock").model.eval()
    copy_by_name(model, stock)
    for size in (32, 96, 160):
        torch.testing.assert_close(model(images(2, size)), stock(images(2, size)), rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("depth", sample((18, 34, 50, 101, 152), 3))
def test_costs_of_tweaked_networks_match_timm(depth):
    """timm builds ResNet-D independently, and torch counts its FLOPs."""
    theirs = on_meta(lambda: timm.create_model(f"resnet{depth}d")).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        theirs(torch.empty(1, 3, 224, 224, device="meta"))
    costs = recipe.compile(f"base resnet{depth}; tweak C D", device="meta").costs
    assert costs.flops == counter.get_total_flops()
    assert costs.params == sum(parameter.numel() for parameter in theirs.parameters())
