"""The initial value of each parameter is a pure function of the plan and the seed."""

import copy
import io
import math
from functools import cache

import pytest
import torch
from torch import nn

import recipe
from tests.graph.helpers import images, outputs


@cache
def weights(text: str) -> dict[str, torch.Tensor]:
    return recipe.compile(text).model.state_dict()


def assert_same(one, other, names=None):
    for name in names or one:
        assert torch.equal(one[name], other[name]), name


@pytest.mark.parametrize("init", ["xavier", "kaiming", "stock"])
def test_weights_are_a_pure_function_of_the_seed(init):
    text = f"base resnet18; tweak C; init {init}"
    torch.manual_seed(1)
    first = weights(f"{text}; seed 5")
    state = torch.get_rng_state()
    again = recipe.compile(f"{text}; seed 5").model.state_dict()
    assert torch.equal(state, torch.get_rng_state())  # torch's own generator is not used
    assert_same(first, again)
    other = weights(f"{text}; seed 6")
    drawn = [name for name, value in first.items() if value.ndim == 4]
    assert len(drawn) == 20 + 2
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


@pytest.mark.parametrize("init", ["xavier", "kaiming", "stock"])
@pytest.mark.parametrize("change", ["tweak C", "tweak D", "tweak C D", "init zero-gamma", "loss smooth", "batch 8"])
def test_initial_values_do_not_depend_on_other_tricks(init, change):
    plain, changed = weights(f"base resnet18; init {init}"), weights(f"base resnet18; init {init}; {change}")
    names = [name for name in plain if name in changed]
    if change == "init zero-gamma":
        names = [name for name in names if not name.endswith("bn2.weight")]
    assert len(names) > 100
    assert_same(plain, changed, names)


@pytest.mark.parametrize("init", ["xavier", "kaiming"])
def test_initial_values_do_not_depend_on_other_layers(init):
    short, long = (weights(f"base {name}; init {init}") for name in ("resnet18", "resnet34"))
    shared = [name for name in short if name in long and short[name].shape == long[name].shape]
    assert "layer4.1.conv2.weight" in shared
    assert_same(short, long, shared)


def test_initial_values_of_new_layers_do_not_depend_on_the_model():
    short, long = (weights(f"base {name}; tweak C; init stock") for name in ("resnet18", "resnet34"))
    new = [name for name in short if name.startswith("conv1.")]
    assert len(new) == 3 + 2 * 5
    assert_same(short, long, new)


def _fans(weight: torch.Tensor) -> tuple[int, int]:
    field = math.prod(weight.shape[2:])
    return weight.shape[1] * field, weight.shape[0] * field


@pytest.mark.parametrize("base", ["resnet18", "resnext50_32x4d", "mobilenet_v2"])
def test_xavier(base):
    model = recipe.compile(f"base {base}; init xavier").model
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            bound = math.sqrt(6 / sum(_fans(module.weight)))
            assert module.weight.abs().max() <= bound
            if module.weight.numel() > 2000:
                assert module.weight.abs().max() > 0.98 * bound
                torch.testing.assert_close(module.weight.std().item(), bound / math.sqrt(3), rtol=0.1, atol=0)
                assert abs(module.weight.mean()) < 0.1 * bound
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
        if getattr(module, "bias", None) is not None:
            assert (module.bias == 0).all()


@pytest.mark.parametrize("fan", ["out", "in"])
def test_kaiming(fan):
    model = recipe.compile(f"base resnet18; init kaiming fan={fan}").model
    for name, weight in model.named_parameters():
        if weight.ndim == 4:
            expected = math.sqrt(2 / _fans(weight)[fan == "out"])
            torch.testing.assert_close(weight.std().item(), expected, rtol=0.05, atol=0, msg=name)
    torch.testing.assert_close(model.fc.weight.std().item(), math.sqrt(2 / 512), rtol=0.01, atol=0)
    assert (model.fc.bias == 0).all()


@pytest.mark.parametrize("text", ["dialect gluoncv", "init kaiming fan=avg slope=0.25"])
def test_kaiming_matches_mxnet(text):
    """MSRAPrelu draws from N(0, magnitude / factor): 2 / (1 + slope²), divided by the mean of both fans."""
    model = recipe.compile(f"base resnet18; {text}").model
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            expected = math.sqrt(2 / (1 + 0.25**2) / (sum(_fans(weight)) / 2))
            torch.testing.assert_close(weight.std().item(), expected, rtol=0.05, atol=0, msg=name)


def test_kaiming_for_a_leaky_activation():
    model = recipe.compile("base resnet18; init kaiming slope=0.5").model
    weight = model.get_parameter("layer4.1.conv2.weight")
    torch.testing.assert_close(weight.std().item(), math.sqrt(2 / 1.25 / _fans(weight)[1]), rtol=0.01, atol=0)


@pytest.mark.parametrize(("base", "depth", "blocks"), [("resnet18", 2, 8), ("resnet50", 3, 16)])
def test_zero_gamma_is_zero_in_exactly_the_last_norms(base, depth, blocks):
    model = recipe.compile(f"base {base}; init zero-gamma").model
    gammas = {name: module.weight for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    zero = {name for name, gamma in gammas.items() if not gamma.any()}
    assert zero == {name for name in gammas if name.startswith("layer") and name.endswith(f".bn{depth}")}
    assert len(zero) == blocks
    assert all((gamma == 1).all() for name, gamma in gammas.items() if name not in zero)


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("base resnet18", 1000),
        ("base resnet18 classes=7", 7),
        ("base resnet18; data digits", 10),
        ("base resnet18 classes=12; data digits", 12),
        ("base resnet18; data fake classes=33", 33),
        ("base mobilenet_v2 classes=7", 7),
        ("base inception_v3 classes=7", 7),
    ],
)
def test_the_number_of_outputs_is_that_of_the_recipe_or_the_data(text, classes):
    program = recipe.compile(text, device="meta")
    size = program.costs.size
    assert program.classes == classes
    assert program.model.eval()(torch.empty(2, 3, size, size, device="meta")).shape == (2, classes)


def test_weights_of_your_own_model_are_initialized_only_if_the_recipe_says_so():
    module = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.Flatten(), nn.Linear(8 * 112 * 112, 3))
    kept = recipe.compile("tweak C", base=module)
    assert set(kept.fates.values()) == {"kept", "new", "dropped"}
    assert torch.equal(kept.model.get_parameter("2.weight"), module[2].weight)
    drawn = recipe.compile("init xavier", base=module)
    assert set(drawn.fates.values()) == {"reinitialised"}
    assert not torch.equal(drawn.model.get_parameter("2.weight"), module[2].weight)


@pytest.fixture(scope="module")
def model():
    return recipe.compile("base resnet18 classes=10; tweak C D").model


def test_a_deep_copy_is_independent(model):
    copied = copy.deepcopy(model)
    assert_same(model.state_dict(), copied.state_dict())
    (ours,), (theirs,) = (outputs(net, images(2, 32), False) for net in (model, copied))
    assert torch.equal(ours, theirs)
    with torch.no_grad():
        copied.fc.weight.zero_()
    assert model.fc.weight.any()


def test_a_state_dict_is_saved_and_loaded_without_pickled_code(model):
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    other = recipe.compile("base resnet18 classes=10; tweak C D; seed 3").model
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert_same(model.state_dict(), other.state_dict())


def test_non_persistent_buffers_stay_so_in_graphs_and_copies():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)
            self.register_buffer("scale", torch.tensor([2.0]), persistent=False)
            self.register_buffer("shift", torch.tensor([1.0]))

        def forward(self, x):
            return self.fc(self.conv(x).mean((2, 3)) * self.scale + self.shift)

    graph = recipe.compile("init stock", base=Scaled()).model
    for one in (graph, copy.deepcopy(graph), copy.deepcopy(copy.deepcopy(graph))):
        assert "scale" in dict(one.named_buffers())
        assert {*one.state_dict()} == {*Scaled().state_dict()}
        assert "shift" in one.state_dict()


def test_the_model_trains(model):
    trained = copy.deepcopy(model).train()
    loss = nn.functional.cross_entropy(trained(images(4, 32)), torch.arange(4))
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in trained.parameters())
    assert all(parameter.is_contiguous() and parameter.is_leaf for parameter in trained.parameters())


def test_the_model_is_built_once():
    program = recipe.compile("base resnet18; init stock")
    assert program.model is program.model


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_torch_compile_captures_the_model_in_one_graph(training):
    model = recipe.compile("base googlenet; init stock; data fake size=64 classes=5").model
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    for ours, theirs in zip(*(outputs(net, images(2, 64), training) for net in (compiled, model)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
