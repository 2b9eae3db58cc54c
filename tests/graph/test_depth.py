"""The depths of parameters are those of timm for its models. The general rule finds the same ones without its help."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from unittest import mock

import pytest
import timm
import torch
import torchvision
from timm.optim._param_groups import param_groups_layer_decay
from torch import Tensor, nn

import recipe
from recipe.graph import depth as depth_module
from recipe.graph.depth import Depths, depths_after, depths_of
from recipe.graph.net import Net
from recipe.graph.shapes import on_meta, propagate
from recipe.graph.trace import trace
from tests.helpers import sample

TIMM = ("resnet18", "resnet50d", "convnext_atto", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "regnety_002",
        "test_resnet", "mixer_s32_224", "deit3_small_patch16_224")  # fmt: skip


def depths(model: nn.Module, size: int = 224) -> Depths:
    graph = trace(model.to("meta"), "model")
    propagate(graph, size, "model")
    return depths_of(model, Net(graph))


def stock(name: str) -> nn.Module:
    if name.startswith("timm:"):
        return on_meta(lambda: timm.create_model(name.removeprefix("timm:")))
    return on_meta(lambda: torchvision.models.get_model(name, weights=None))


def layers(found: Mapping[str, int]) -> list[list[str]]:
    """Return the names of each layer."""
    return [[name for name in found if found[name] == depth] for depth in range(len({*found.values()}))]


@pytest.mark.parametrize("name", TIMM)
def test_factors_of_timm_models_are_those_of_timm(name: str) -> None:
    """The groups of `lr layers` equal those of timm's `param_groups_layer_decay`, to the last digit."""
    model = stock(f"timm:{name}")
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = param_groups_layer_decay(model, layer_decay=0.75)
    expected = {names[id(each)]: group["lr_scale"] for group in groups for each in group["params"]}
    program = recipe.compile(f"base timm:{name}; lr layers 0.75", device="meta")
    found = {each: group.options.get("lr_scale", 1.0) for group in program.groups for each in group.names}
    assert found == expected


@pytest.mark.parametrize("name", sample(TIMM, 4))
def test_the_general_rule_finds_the_layers_of_timm(name: str) -> None:
    model = stock(f"timm:{name}")
    stated = depths(model)
    with mock.patch.object(depth_module, "_stated", return_value={}):
        assert depths(model) == stated


@pytest.mark.parametrize("names", [("resnet50", "timm:resnet50"), ("convnext_tiny", "timm:convnext_tiny")])
def test_torchvision_models_have_as_many_layers_as_those_of_timm(names: tuple[str, str]) -> None:
    ours, theirs = ([*map(len, layers(depths(stock(name))))] for name in names)
    assert ours == theirs


def test_layers_of_a_torchvision_resnet() -> None:
    found = layers(depths(stock("resnet18")))
    assert found[0] == ["conv1.weight", "bn1.weight", "bn1.bias"]
    blocks = [f"layer{stage}.{block}." for stage in (1, 2, 3, 4) for block in (0, 1)]
    assert all(name.startswith(block) for block, names in zip(blocks, found[1:-1], strict=True) for name in names)
    assert found[-1] == ["fc.weight", "fc.bias"]


def test_layers_of_a_torchvision_transformer() -> None:
    found = layers(depths(stock("vit_b_16")))
    assert [*map(len, found)] == [4, *[12] * 11, 14, 2]
    assert {*found[0]} == {"class_token", "conv_proj.weight", "conv_proj.bias", "encoder.pos_embedding"}
    assert "encoder.ln.weight" in found[12]


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("vgg11_bn", 11, ["features.0", "features.1"], ["classifier.6"]),
        ("alexnet", 8, ["features.0"], ["classifier.6"]),
        ("squeezenet1_1", 10, ["features.0"], ["classifier.1"]),
        ("efficientnet_b0", 18, ["features.0.0", "features.0.1"], ["classifier.1"]),
        ("mobilenet_v3_small", 13, ["features.0.0", "features.0.1"], ["classifier.0", "classifier.3"]),
        ("mobilenet_v2", 19, ["features.0.0", "features.0.1"], ["classifier.1"]),
        ("swin_t", 14, ["features.0.0", "features.0.2"], ["head"]),
        ("regnet_x_400mf", 24, ["stem.0", "stem.1"], ["fc"]),
        ("shufflenet_v2_x0_5", 19, ["conv1.0", "conv1.1"], ["fc"]),
        ("densenet121", 63, ["features.conv0", "features.norm0"], ["classifier"]),
        ("mnasnet0_5", 18, [f"layers.{place}" for place in (0, 1, 3, 4, 6, 7)], ["classifier.1"]),
        ("maxvit_t", 35, ["stem.0.0", "stem.0.1", "stem.1.0"], ["classifier.2", "classifier.3", "classifier.5"]),
    ],
)
def test_the_families_of_torchvision(name: str, count: int, first: list[str], last: list[str]) -> None:
    model = stock(name)
    found = depths(model)
    assert {*found} == {name for name, _ in model.named_parameters()}
    each = layers(found)
    assert len(each) == count
    ends = [[*dict.fromkeys(name.rpartition(".")[0] for name in names)] for names in (each[0], each[-1])]
    assert ends == [first, last]


def test_auxiliary_heads_belong_to_the_last_layer() -> None:
    model = on_meta(lambda: torchvision.models.get_model("inception_v3", weights=None, init_weights=False))
    found = depths(model, 299)
    assert {name.partition(".")[0] for name, depth in found.items() if depth == 16} == {"AuxLogits", "fc"}
    assert max(found.values()) == 16


class Wrapped(nn.Module):
    """Blocks without modules of their own, in a module of the user."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.scale = nn.Conv2d(3, 4, 3), nn.Parameter(torch.ones(4, 1, 1))
        self.parts = nn.ModuleList(nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)) for _ in range(4))
        self.fc = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for part in self.parts[:3]:
            x = x + part(x)
        return self.fc(self.parts[3](x * self.scale).mean((2, 3)))


def test_layers_of_a_model_of_ones_own() -> None:
    found = layers(depths(Wrapped(), 32))
    assert [sorted({name.rpartition(".")[0] for name in names}) for names in found] == [
        ["stem"],
        ["parts.0.0", "parts.0.1"],
        ["parts.1.0", "parts.1.1"],
        ["", "parts.2.0", "parts.2.1", "parts.3.0", "parts.3.1"],
        ["fc"],
    ]


def test_a_model_that_has_been_traced_before_has_the_same_layers() -> None:
    model = stock("resnet18")
    assert depths(trace(stock("resnet18"), "model")) == depths(model)


def test_a_model_states_its_layers_as_those_of_timm_do() -> None:
    class Stated(Wrapped):
        def group_matcher(self, coarse: bool = False) -> dict[str, str]:
            return {"stem": "stem", "parts": r"parts\.(\d+)"}

    found = depths(Stated(), 32)
    assert [found[f"parts.{place}.0.weight"] for place in range(4)] == [1, 2, 3, 4]
    assert (found["stem.weight"], found["fc.weight"], found["scale"]) == (0, 5, 5)


def test_a_model_whose_statement_fails_is_reported() -> None:
    class Stated(Wrapped):
        def group_matcher(self, coarse: bool = False) -> dict[str, str]:
            return {"stem": "("}

    with pytest.raises(recipe.RecipeError, match=r"E102.*the model's `group_matcher` fails: missing \)"):
        depths(Stated(), 32)


def test_layers_that_a_model_states_need_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stated(Wrapped):
        def group_matcher(self, coarse: bool = False) -> dict[str, str]:
            return {"stem": "stem", "parts": r"parts\.(\d+)"}

    monkeypatch.setitem(sys.modules, "timm.models", None)
    assert depths(Stated(), 32) == {}


def test_layers_that_cannot_be_told_apart_are_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
    with pytest.raises(recipe.RecipeError, match=r"E101.*can't tell the layers of the model apart(?s:.*)group_matcher"):
        recipe.compile("data fake size=32; lr layers", base=model)


def test_new_layers_have_the_depth_of_those_that_they_replace() -> None:
    text = "base resnet18; tweak C D se blurpool; lr layers 0.5"
    program = recipe.compile(text, device="meta")
    model = stock("resnet18")
    before = depths(model)
    assert {*program.depths} == {name for name, _ in program.structure.named_parameters()}
    assert {name: depth for name, depth in program.depths.items() if name in before} == {
        name: before[name] for name in program.depths if name in before
    }
    new = {name: depth for name, depth in program.depths.items() if name not in before}
    assert {depth for name, depth in new.items() if name.startswith("conv1.")} == {0}
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            inside = {depth for name, depth in program.depths.items() if name.startswith(f"layer{stage}.{block}.")}
            assert inside == {2 * stage - 1 + block}
    assert any(name.startswith("layer2.0.") for name in new)


def test_depths_stay_unknown_after_edits() -> None:
    assert depths_after({}, (), Net(trace(Wrapped(), "model"))) == {}
