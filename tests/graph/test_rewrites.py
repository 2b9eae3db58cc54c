"""The sites and edits of each rewrite, and the parameters that it keeps."""

import pytest
import torch
from torch import nn

import recipe
from recipe.api import Insert, Layer, SetAttribute, Substitute
from recipe.graph.apply import EditError, apply
from recipe.testing import assert_rejects, assert_rewrites
from recipe.tricks.freeze_gradual import first_layers
from tests.graph.helpers import images, outputs

# The number of blocks in each of the four stages, and of convolutions in a block.
RESNETS = {
    "resnet18": ((2, 2, 2, 2), 2),
    "resnet34": ((3, 4, 6, 3), 2),
    "resnet50": ((3, 4, 6, 3), 3),
    "resnet101": ((3, 4, 23, 3), 3),
    "resnet152": ((3, 8, 36, 3), 3),
    "resnext50_32x4d": ((3, 4, 6, 3), 3),
    "resnext101_32x8d": ((3, 4, 23, 3), 3),
    "resnext101_64x4d": ((3, 4, 23, 3), 3),
    "wide_resnet50_2": ((3, 4, 6, 3), 3),
    "wide_resnet101_2": ((3, 4, 23, 3), 3),
}


@pytest.mark.parametrize("name", RESNETS)
def test_every_tweak_finds_every_site_of_every_resnet(name):
    stages, depth = RESNETS[name]
    halving = len(stages) - 1  # all stages but the first start with a block that halves the resolution
    strided = halving if depth == 3 else 0  # a basic block starts with its first 3×3, so A equals B
    program = assert_rewrites(f"base {name}; tweak A", {"tweak A": strided})
    assert len(program.steps[0].sites) == halving
    program = assert_rewrites(
        f"base {name}; tweak B C D; init zero-gamma",
        {"tweak B": 0, "tweak C": 1, "tweak D": halving, "init zero-gamma": sum(stages)},
    )
    assert program.notes == (
        f"tweak B: already applied at {halving} sites",
        "tweak C: 1 site",
        f"tweak D: {halving} sites",
        f"init zero-gamma: {sum(stages)} sites",
    )
    last = f"bn{depth}.weight"
    for parameter, fate in program.fates.items():
        if parameter == "conv1.weight":
            assert fate == "dropped"
        elif parameter.startswith("conv1."):
            assert fate == "new"
        elif parameter.endswith(last) and parameter != "bn1.weight":
            assert fate == "reinitialised"
        else:
            assert fate == "kept"


def test_tweak_a_moves_the_stride_into_the_first_convolution():
    edits = tuple(
        SetAttribute(f"layer{stage}.0.{conv}", "stride", before, after)
        for stage in (2, 3, 4)
        for conv, before, after in (("conv2", (2, 2), (1, 1)), ("conv1", (1, 1), (2, 2)))
    )
    assert_rewrites("base resnet50; tweak A", edits)


def test_tweak_b_moves_the_stride_back():
    model = recipe.compile("base resnet50; tweak A", device="meta").model
    program = assert_rewrites("tweak B", {"tweak B": 3}, base=model)
    assert program.costs.macs == recipe.compile("base resnet50", device="meta").costs.macs


def _conv3(channels: int, out: int, stride: int) -> Layer:
    sizes = {"in_channels": channels, "out_channels": out, "kernel_size": 3, "stride": stride, "padding": 1}
    return Layer("Conv2d", sizes | {"bias": False})


def test_tweak_c_replaces_the_7x7_with_three_convolutions():
    norm, relu = Layer("BatchNorm2d", {"num_features": 32}), Layer("ReLU", {"inplace": True})
    layers = (_conv3(3, 32, 2), norm, relu, _conv3(32, 32, 1), norm, relu, _conv3(32, 64, 1))
    assert_rewrites(
        "base resnet50; tweak C",
        (Substitute("conv1", tuple((f"conv1.{place}", layer) for place, layer in enumerate(layers))),),
    )


def test_tweak_d_pools_in_the_shortcut():
    pool = Layer("AvgPool2d", {"kernel_size": 2, "stride": 2, "ceil_mode": True, "count_include_pad": False})
    edits = []
    for stage in (2, 3, 4):
        conv = f"layer{stage}.0.downsample.0"
        edits += [Insert(conv, ((f"{conv}_pool", pool),)), SetAttribute(conv, "stride", (2, 2), (1, 1))]
    assert_rewrites("base resnet50; tweak D", tuple(edits))


def test_replacements_keep_the_position_of_a_module():
    names = list(recipe.compile("base resnet18; tweak C", device="meta").model.state_dict())
    assert [name for name in names if name.endswith("weight")][:5] == [
        "conv1.0.weight",
        "conv1.1.weight",
        "conv1.3.weight",
        "conv1.4.weight",
        "conv1.6.weight",
    ]
    assert names[-1] == "fc.bias"


def test_edits_are_readable_as_text():
    lines = [str(edit) for edit in recipe.compile("base resnet50; tweak A D", device="meta").edits]
    assert "layer2.0.conv2: stride 2×2 → 1×1" in lines
    assert any(
        line.startswith("layer3.0.downsample.0: before it layer3.0.downsample.0_pool AvgPool2d(") for line in lines
    )
    assert "fc.bias: zeros()" in lines


@pytest.mark.parametrize("mode", [True, False])
def test_every_block_starts_as_the_identity_with_zero_gamma(mode):
    program = recipe.compile("base resnet18; init zero-gamma")
    seen = {}
    for name, module in program.model.named_modules():
        if name in ("layer1.0.bn2", "layer4.1.bn2"):
            module.register_forward_hook(lambda module, args, result, name=name: seen.update({name: result}))
    outputs(program.model, images(2, 32), mode)
    assert seen.keys() == {"layer1.0.bn2", "layer4.1.bn2"}
    assert not any(result.count_nonzero() for result in seen.values())


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("base mobilenet_v2; tweak C", "tweak C"),
        ("base vgg11; tweak C", "tweak C"),
        ("base vit_b_16; tweak C", "tweak C"),
        ("base vgg11; tweak D", "tweak D"),
        ("base mobilenet_v2; tweak D", "tweak D"),
        ("base vgg11; tweak A", "tweak A"),
        ("base vgg11; tweak B", "tweak B"),
        ("base vgg11; init zero-gamma", "init zero-gamma"),
        ("base vit_b_16; init zero-gamma", "init zero-gamma"),
    ],
)
def test_a_model_without_a_site_is_an_error(text, word):
    diagnostic = assert_rejects(text, "E101")
    name = text.split()[1].rstrip(";")
    assert diagnostic.message == f"`{word}` has no site in `{name}`"
    assert diagnostic.span.text == word.split()[0] or word.endswith(diagnostic.span.text)
    assert diagnostic.help


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("base inception_v3; data fake size=32", "inception_v3` can't process images of 32×32"),
        ("base alexnet; data fake size=32", "alexnet` can't process images of 32×32"),
        ("base vit_b_16; data fake size=96", "vit_b_16` can't process images of 96×96"),
    ],
)
def test_images_that_do_not_fit_are_an_error_that_suggests_a_size(text, wanted):
    diagnostic = assert_rejects(text, "E103")
    assert wanted in diagnostic.message
    assert "size=" in diagnostic.help


def test_a_model_that_does_not_return_logits_is_rejected():
    assert "not logits" in assert_rejects("tweak C", "E102", base=nn.Conv2d(3, 8, 7, 2)).message


class GivesFeatures(nn.Module):
    """Also returns its features, which are not the output of an auxiliary head."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 7, 2), nn.Linear(8, 10)

    def forward(self, images):
        features = self.conv(images).mean((2, 3))
        return self.fc(features), features


def test_a_model_that_also_returns_its_features_is_rejected():
    assert "is not computed by a submodule" in assert_rejects("tweak C", "E102", base=GivesFeatures()).message


class Branching(nn.Module):
    def forward(self, images):
        return images.mean((2, 3)) if images.sum() > 0 else images.amax((2, 3))


def test_a_model_that_branches_on_values_is_rejected():
    assert "can't be traced" in assert_rejects("init stock", "E102", base=Branching()).message


class Moody(nn.Module):
    """Checks whether it is training, in itself and in a submodule, which a plain trace would freeze."""

    class Part(nn.Module):
        def forward(self, x):
            return x * 2 if self.training else x + 1

    def __init__(self):
        super().__init__()
        self.conv, self.part, self.fc = nn.Conv2d(3, 8, 3), self.Part(), nn.Linear(8, 5)

    def forward(self, images, scale=None, flag=True):
        x = self.part(self.conv(images)).mean((2, 3))
        return self.fc(nn.functional.dropout(x, 0.5, self.training) if flag else x)


@pytest.mark.parametrize("training", [True, False])
def test_behavior_that_depends_on_the_mode_is_kept(training):
    module = Moody()
    program = recipe.compile("init stock", base=module)
    assert program.model.state_dict().keys() == module.state_dict().keys()
    (ours,), (theirs,) = (outputs(net, images(4, 8), training) for net in (program.model, module))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def norm(channels: int) -> Layer:
    return Layer("BatchNorm2d", {"num_features": channels})


def children(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_children()]


def test_new_modules_are_next_to_their_insertion_point():
    net = recipe.compile("base resnet18", device="meta").structure
    edits = (
        Insert("conv1", (("a", norm(64)), ("b", norm(64))), after=True),
        Insert("avgpool", (("c", norm(512)), ("d", norm(512)))),
        Insert("layer1.0.relu#2", (("layer1.0.e", norm(64)),), after=True),
        Insert("flatten", (("f", Layer("BatchNorm1d", {"num_features": 512})),), after=True),
        Insert("layer4.1.bn2", (("new.g", norm(512)),), after=True),
        Substitute("maxpool", (("h", Layer("AvgPool2d", {"kernel_size": 2})),)),
    )
    apply(net, edits)
    before = ["conv1", "a", "b", "bn1", "relu", "h", "layer1", "layer2", "layer3", "layer4", "new"]
    assert children(net) == [*before, "c", "d", "avgpool", "f", "fc"]
    assert children(net.get_submodule("layer1.0")) == ["conv1", "bn1", "relu", "e", "conv2", "bn2"]


def test_freezing_follows_the_order_of_inserted_modules():
    net = recipe.compile("base resnet18", device="meta").structure
    apply(net, [Insert("conv1", (("extra", norm(64)),), after=True)])
    names = [name for name, _ in net.named_parameters()]
    assert first_layers(names, 0.05) == ["conv1.weight", "extra.weight", "extra.bias"]
    assert {*names} - {*first_layers(names, 0.99)} == {"fc.weight", "fc.bias"}


def test_an_attribute_is_set_for_all_calls_of_a_module():
    net = recipe.compile("base resnet18", device="meta").structure
    apply(net, [SetAttribute("layer1.0.relu", "inplace", True, False)])
    assert not net.get_submodule("layer1.0.relu").inplace
    with pytest.raises(EditError, match="only one of several calls of a module"):
        apply(net, [SetAttribute("layer1.0.relu#2", "inplace", False, True)])
