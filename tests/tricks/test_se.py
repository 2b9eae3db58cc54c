"""Squeeze-and-excitation: its sites, and ResNets compared with timm's SE-ResNet."""

import pytest
import torch

import recipe
from recipe.api import Insert, Layer
from recipe.testing import assert_rejects, assert_rewrites
from tests.graph.helpers import images, outputs, randomise

GATE = "torchvision.ops:SqueezeExcitation"


def test_a_gate_follows_the_last_norm_of_each_trunk():
    gates = [Layer(GATE, {"input_channels": c, "squeeze_channels": c // 16}) for c in (64, 128, 256, 512)]
    edits = tuple(
        Insert(f"layer{stage}.{block}.bn2", ((f"layer{stage}.{block}.bn2_se", gates[stage - 1]),), after=True)
        for stage in (1, 2, 3, 4)
        for block in (0, 1)
    )
    assert_rewrites("base resnet18; tweak se", edits)


def test_a_gate_squeezes_to_at_least_one_channel():
    program = recipe.compile("base resnet18; tweak se 100", device="meta")
    assert program.model.get_parameter("layer1.0.bn2_se.fc1.weight").shape == (1, 64, 1, 1)
    assert program.fates["layer1.0.bn2_se.fc1.weight"] == "new"


def test_a_resnet_with_se_equals_that_of_timm():
    import timm

    model = recipe.compile("base timm:resnet50; tweak se").model
    oracle = timm.create_model("seresnet50")
    randomise(model)
    oracle.load_state_dict({name.replace("bn3_se.", "se."): value for name, value in model.state_dict().items()})
    for training in (False, True):
        (ours,), (theirs,) = (outputs(net, images(2, 64), training) for net in (model, oracle))
        assert ours.std() > 0.01
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_its_costs_equal_those_of_timm():
    ours, theirs = (
        recipe.compile(f"base timm:{text}", device="meta").costs for text in ("resnet50; tweak se", "seresnet50")
    )
    assert (ours.params, ours.macs) == (theirs.params, theirs.macs)


@pytest.mark.parametrize(
    ("base", "reduction"),
    [
        ("timm:seresnet50", 16),
        ("efficientnet_b0", 24),  # a quarter of the input of the block, whose trunk is six times as wide
        pytest.param("timm:seresnext50_32x4d", 16, marks=pytest.mark.slow),
    ],
)
def test_a_trunk_with_such_a_gate_counts_as_already_applied(base, reduction):
    program = assert_rewrites(f"base {base}; tweak se {reduction}", {"tweak se": 0})
    assert program.notes[0].startswith("tweak se: already applied at ")


@pytest.mark.parametrize(
    ("base", "reduction", "has"),
    [
        (
            "mobilenet_v3_small",
            4,
            "`features.5.block` already has a gate, which squeezes channels from 240 to 64, not",
        ),
        ("timm:seresnet50", 8, "squeezes channels from 256 to 16, not to 32"),
        ("efficientnet_b0", 16, "squeezes channels from 144 to 6, not to 9"),
        ("regnet_y_400mf", 16, "squeezes channels from 48 to 8, not to 3"),
    ],
)
def test_a_gate_with_another_reduction_is_rejected(base, reduction, has):
    assert has in assert_rejects(f"base {base}; tweak se {reduction}", "E024").message


def test_it_recognizes_its_own_gates():
    model = recipe.compile("base resnet18; tweak se", device="meta").model
    assert_rewrites("tweak se", {"tweak se": 0}, base=model)
    assert_rejects("tweak se 8", "E024", base=model)


@pytest.mark.parametrize("init", ["xavier", "kaiming"])
def test_its_convolutions_are_initialized_like_all_others(init):
    program = recipe.compile(f"base resnet18; tweak se; init {init} zero-gamma")
    filled = {edit.parameter for edit in program.edits if hasattr(edit, "parameter")}
    assert {f"layer1.0.bn2_se.fc{n}.{of}" for n in (1, 2) for of in ("weight", "bias")} <= filled
    assert not program.model.get_parameter("layer1.0.bn2_se.fc1.bias").any()
    assert not program.model.get_parameter("layer1.0.bn2.weight").any()
