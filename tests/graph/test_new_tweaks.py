"""Squeeze-and-excitation, blur pooling and stochastic depth: their sites, and what the networks compute then."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import StochasticDepth

import recipe
from recipe.api import Insert, Layer, SetAttribute
from recipe.tricks.tweak_blurpool import BLUR, POOL
from tests.durability.trials import small

from .helpers import assert_rejects, assert_rewrites, copy_by_name, images, outputs, randomise, shapes

ALL = "tweak B C D se blurpool stochastic-depth"
GATE, DROP = "torchvision.ops:SqueezeExcitation", "torchvision.ops:StochasticDepth"


@pytest.mark.parametrize(
    ("name", "blocks", "halving"),
    [
        ("resnet18", 8, 3),
        ("resnet50", 16, 3),
        ("resnext50_32x4d", 16, 3),
        ("wide_resnet50_2", 16, 3),
        ("timm:resnet50d", 16, 3),
        ("timm:resnet26", 8, 3),
        ("regnet_x_400mf", 22, 4),
    ],
)
def test_they_find_every_site_of_every_residual_network(name, blocks, halving):
    pooled = halving + ("regnet" not in name)  # and the max pooling of the stem
    sites = {"tweak se": blocks, "tweak blurpool": pooled, "tweak stochastic-depth": blocks, "init zero-gamma": blocks}
    program = assert_rewrites(f"base {name}; tweak se blurpool stochastic-depth; init zero-gamma", sites)
    places = [step.word for step in program.steps]
    assert places == ["tweak se", "tweak blurpool", "tweak stochastic-depth", "init zero-gamma"]


def test_they_find_those_of_a_network_of_ones_own():
    sites = {"tweak se": 2, "tweak blurpool": 2, "tweak stochastic-depth": 2, "init zero-gamma": 2}
    assert_rewrites("tweak se blurpool stochastic-depth; init zero-gamma", sites, base=small())


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("base vgg11; tweak se", "tweak se"),
        ("base vit_b_16; tweak se", "tweak se"),
        ("base vit_b_16; tweak blurpool", "tweak blurpool"),
        ("base mobilenet_v2; tweak blurpool", "tweak blurpool"),
        ("base vgg11; tweak stochastic-depth", "tweak stochastic-depth"),
        ("base densenet121; tweak stochastic-depth", "tweak stochastic-depth"),
    ],
)
def test_a_model_without_a_site_is_an_error_that_says_so(text, word):
    assert assert_rejects(text, "E101").message == f"`{word}` has no site in `{text.split()[1].rstrip(';')}`"


# ---- squeeze-and-excitation


def test_se_gates_the_last_norm_of_a_trunk():
    gates = [Layer(GATE, {"input_channels": c, "squeeze_channels": c // 16}) for c in (64, 128, 256, 512)]
    edits = tuple(
        Insert(f"layer{stage}.{block}.bn2", ((f"layer{stage}.{block}.bn2_se", gates[stage - 1]),), after=True)
        for stage in (1, 2, 3, 4)
        for block in (0, 1)
    )
    assert_rewrites("base resnet18; tweak se", edits)


def test_a_bottleneck_has_a_channel_at_least():
    program = recipe.compile("base resnet18; tweak se 100", device="meta")
    assert program.model.get_parameter("layer1.0.bn2_se.fc1.weight").shape == (1, 64, 1, 1)
    assert program.fates["layer1.0.bn2_se.fc1.weight"] == "new"


def test_a_resnet_with_se_is_timms():
    import timm

    model = recipe.compile("base timm:resnet50; tweak se").model
    oracle = timm.create_model("seresnet50")
    randomise(model)
    oracle.load_state_dict({name.replace("bn3_se.", "se."): value for name, value in model.state_dict().items()})
    for training in (False, True):
        (ours,), (theirs,) = (outputs(net, images(2, 64), training) for net in (model, oracle))
        assert ours.std() > 0.01
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_it_costs_what_timms_does():
    ours, theirs = (
        recipe.compile(f"base timm:{text}", device="meta").costs for text in ("resnet50; tweak se", "seresnet50")
    )
    assert (ours.params, ours.macs) == (theirs.params, theirs.macs)


@pytest.mark.parametrize(
    "base",
    [
        "timm:seresnet50",
        "regnet_y_400mf",
        "efficientnet_b0",
        pytest.param("timm:seresnext50_32x4d", marks=pytest.mark.slow),
    ],
)
def test_a_trunk_that_has_a_gate_is_so_already(base):
    program = assert_rewrites(f"base {base}; tweak se", {"tweak se": 0})
    assert program.notes[0].startswith("tweak se: already so at ")


def test_what_it_made_is_seen_as_a_gate():
    model = recipe.compile("base resnet18; tweak se", device="meta").model
    assert_rewrites("tweak se", {"tweak se": 0}, base=model)


@pytest.mark.parametrize("init", ["xavier", "kaiming"])
def test_its_convolutions_are_initialised_as_all_others(init):
    program = recipe.compile(f"base resnet18; tweak se; init {init} zero-gamma")
    filled = {edit.parameter for edit in program.edits if hasattr(edit, "parameter")}
    assert {f"layer1.0.bn2_se.fc{n}.{of}" for n in (1, 2) for of in ("weight", "bias")} <= filled
    assert not program.model.get_parameter("layer1.0.bn2_se.fc1.bias").any()
    assert not program.model.get_parameter("layer1.0.bn2.weight").any()


# ---- blur pooling


def binomial(x):
    """[1, 2, 1] / 4 along both axes, the border's pixels repeated, then every second pixel."""
    kernel = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype) / 4
    weight = (kernel[:, None] * kernel).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), weight, stride=2, groups=x.shape[1])


@pytest.mark.parametrize("height", [1, 2, 3, 7, 8, 15, 16])
@pytest.mark.parametrize("width", [1, 2, 5, 8])
def test_two_averages_are_the_binomial_filter(height, width):
    x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = nn.AvgPool2d(**POOL)(nn.AvgPool2d(**BLUR)(x))
    torch.testing.assert_close(ours, binomial(x))
    assert ours.shape[2:] == (-(-height // 2), -(-width // 2))


@pytest.mark.parametrize("sides", [(8, 8), (7, 10)])
def test_they_are_timms_blur_pooling(sides):
    from timm.layers import BlurPool2d

    x = torch.randn(2, 4, *sides, generator=torch.Generator().manual_seed(0))
    theirs = BlurPool2d(4, filt_size=3, stride=2, pad_mode="replicate")(x)
    torch.testing.assert_close(nn.AvgPool2d(**POOL)(nn.AvgPool2d(**BLUR)(x)), theirs)


class Blur(nn.Module):
    def forward(self, x):
        return binomial(x)


def blurred(name):
    """torchvision's ResNet with Zhang's filters, by hand."""
    import torchvision

    model = getattr(torchvision.models, name)()
    model.maxpool = nn.Sequential(nn.MaxPool2d(3, 1, 1), Blur())
    for layer in (model.layer2, model.layer3, model.layer4):
        block, last = layer[0], "conv3" if name == "resnet50" else "conv2"
        strided = block.conv2 if name == "resnet50" else block.conv1
        strided.stride = block.downsample[0].stride = (1, 1)
        setattr(block, last, nn.Sequential(Blur(), getattr(block, last)))
        block.downsample[0] = nn.Sequential(Blur(), block.downsample[0])
    return model


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("size", [64, 75])
def test_a_blurred_resnet_is_zhangs(name, size):
    model, oracle = recipe.compile(f"base {name}; tweak blurpool").model, blurred(name)
    randomise(model)
    oracle.load_state_dict(dict(zip(oracle.state_dict(), model.state_dict().values(), strict=True)))
    for training in (False, True):
        (ours,), (theirs,) = (outputs(net.double(), images(2, size).double(), training) for net in (model, oracle))
        assert ours.std() > 0.01
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("base", ["resnet18", "resnet50", "timm:resnet50d", "vgg11", "inception_v3", "regnet_y_400mf"])
def test_every_layer_gives_what_has_the_shape_it_had(base):
    stock, model = (recipe.compile(f"base {base}{text}", device="meta").model for text in ("", "; tweak blurpool"))
    mine = {node.name: node.meta["shape"] for node in model.graph.nodes if "shape" in node.meta}
    for node in stock.graph.nodes:
        inside = isinstance(node.target, str) and (node.target.endswith(("pool", "conv1", "conv2", "bn1", "bn2")))
        if "shape" in node.meta and not inside and node.name in mine and node.meta["shape"][2:] != mine[node.name][2:]:
            users = {user for user in node.users if user.name in mine}
            assert users, f"{node.name} has another shape, and nothing reads it"
    assert shapes(stock) == shapes(model)


def test_the_stem_keeps_its_stride_and_the_stride_of_tweak_a_is_blurred_where_it_is():
    program = recipe.compile("base resnet50; tweak A blurpool", device="meta")
    assert program.model.get_submodule("conv1").stride == (2, 2)
    assert SetAttribute("layer2.0.conv1", "stride", (2, 2), (1, 1)) in program.edits
    assert {f"layer2.0.conv2_{name}" for name in ("blur", "pool")} <= {
        name for name, _ in program.model.named_modules()
    }


def test_tweak_d_leaves_it_no_shortcut():
    program = recipe.compile("base resnet50; tweak D blurpool", device="meta")
    assert program.sites == {
        "tweak D": 3,
        "tweak blurpool": 4,
        **{k: v for k, v in program.sites.items() if "init" in k},
    }
    names = {name for name, _ in program.model.named_modules()}
    assert "layer2.0.downsample.0_pool" in names
    assert "layer2.0.downsample.0_blur" not in names


def test_where_nothing_strides_it_is_so_already():
    model = recipe.compile("base resnet18; tweak blurpool; tweak D", device="meta").model
    program = assert_rewrites("tweak blurpool", {"tweak blurpool": 0}, base=model)
    assert program.notes[0] == "tweak blurpool: already so at 3 sites"


def test_a_shift_by_one_pixel_changes_less():
    """Zhang's point: what is subsampled without a filter depends on where the pixels fall."""
    x = images(4, 65)
    changes = []
    for text in ("base resnet18", "base resnet18; tweak blurpool"):
        model = recipe.compile(f"{text}; init kaiming").model
        one, other = (outputs(model, part, True)[0] for part in (x[..., :-1], x[..., 1:]))
        changes.append((one - other).norm() / one.norm())
    assert changes[1] < changes[0]


# ---- stochastic depth


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


# ---- all of them


@pytest.mark.parametrize("base", ["resnet18", "resnet50", "timm:resnet26", None])
def test_all_tweaks_together_train_and_compile(base):
    text = f"{ALL}; init xavier zero-gamma"
    own = {} if base else {"base": small()}
    program = recipe.compile(f"base {base}; {text}" if base else text, **own)
    model, x = program.model, images(4, 64)
    found = []
    for net in (model, torch.compile(model, fullgraph=True, backend="eager")):
        torch.manual_seed(0)
        model.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        found.append((loss.detach(), [parameter.grad.clone() for parameter in model.parameters()]))
    assert all(gradient.isfinite().all() for gradient in found[0][1])
    torch.testing.assert_close(found[1], found[0])
    assert outputs(model, x, False)[0].isfinite().all()


@pytest.mark.parametrize("base", ["resnet18", "resnet50", "resnext50_32x4d", "timm:resnet50", None])
def test_what_was_made_before_is_left_alone(base):
    own = {} if base else {"base": small()}
    first = recipe.compile(f"base {base}; {ALL}" if base else ALL, device="meta", **own)
    again = recipe.compile("tweak C D se blurpool stochastic-depth; init stock", base=first.model, device="meta")
    assert not any(again.sites.values())
    assert again.costs.params == first.costs.params
