"""Residual blocks are found by structure in custom nets, regardless of names and operators."""

import copy

import pytest
import torch
from torch import nn

import recipe
from recipe.graph.net import Net
from recipe.testing import assert_rewrites
from tests.graph.helpers import images, outputs


def operator_add(x, y):
    return x + y


def torch_add(x, y):
    return torch.add(x, y)


def method_add_(x, y):
    return x.add_(y)


def method_add(x, y):
    return x.add(y)


def swapped(x, y):
    return y + x


def in_place(x, y):
    x += y
    return x


ADDITIONS = [operator_add, torch_add, method_add_, method_add, swapped, in_place]


class Unit(nn.Module):
    """A bottleneck with odd names, registered in an odd order."""

    def __init__(self, channels, out, stride, relu, add):
        super().__init__()
        self.zeta = nn.BatchNorm2d(out)
        self.widen = nn.Conv2d(out // 4, out, 1, bias=False)
        self.squeeze = nn.Conv2d(channels, out // 4, 1, bias=False)
        self.n0 = nn.BatchNorm2d(out // 4)
        self.look = nn.Conv2d(out // 4, out // 4, 3, stride, 1, bias=False)
        self.n1 = nn.BatchNorm2d(out // 4)
        self.bridge = None
        if stride != 1 or channels != out:
            self.bridge = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        self.relu, self.add = relu, add

    def forward(self, x):
        y = self.relu(self.n0(self.squeeze(x)))
        y = self.zeta(self.widen(self.relu(self.n1(self.look(y)))))
        return self.relu(self.add(y, x if self.bridge is None else self.bridge(x)))


class Residual(nn.Module):
    """A residual net in which one ReLU serves every call."""

    def __init__(self, add):
        super().__init__()
        self.act = nn.ReLU()
        self.entry = nn.Conv2d(3, 16, 7, 2, 3, bias=False)
        self.entry_norm = nn.BatchNorm2d(16)
        self.units = nn.ModuleList(
            Unit(*sizes, self.act, add) for sizes in ((16, 32, 1), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 96, 2))
        )
        self.verdict = nn.Linear(96, 10)

    def forward(self, pictures):
        x = self.act(self.entry_norm(self.entry(pictures)))
        for unit in self.units:
            x = unit(x)
        return self.verdict(x.mean((2, 3)))


@pytest.mark.parametrize("add", ADDITIONS)
def test_every_tweak_finds_its_sites_in_a_custom_net(add):
    units, halving = 5, 2
    program = assert_rewrites(
        "tweak B C D; init zero-gamma",
        {"tweak B": 0, "tweak C": 1, "tweak D": halving, "init zero-gamma": units},
        base=Residual(add),
    )
    assert [site.where for site in program.steps[2].sites] == ["units.2", "units.4"]
    zeroed = {edit.parameter for edit in program.steps[3].edits}
    assert zeroed == {f"units.{index}.zeta.weight" for index in range(units)}
    assert_rewrites("tweak A", {"tweak A": halving}, base=Residual(add))


@pytest.mark.parametrize("add", ADDITIONS)
def test_a_custom_net_is_copied_and_its_weights_are_kept(add):
    module = Residual(add)
    before = copy.deepcopy(module)
    program = recipe.compile("tweak C D", base=module)
    assert outputs(program.model, images(2, 64), True)[0].shape == (2, 10)
    assert isinstance(module.entry, nn.Conv2d)
    assert module.units[2].bridge[0].stride == (2, 2)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before.state_dict()[name])
    given, compiled = module.state_dict(), program.model.state_dict()
    for name, fate in program.fates.items():
        if name == "entry.weight":
            assert fate == "dropped"
        elif name.startswith("entry."):
            assert fate == "new"
        else:
            assert fate == "kept"
            assert torch.equal(compiled[name], given[name])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("add", ADDITIONS)
def test_an_unchanged_net_computes_the_same(add, training):
    module = Residual(add)
    model = recipe.compile("init stock", base=module).model
    (ours,), (theirs,) = (outputs(net, images(2, 64), training) for net in (model, module))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_tweak_d_matches_a_manual_implementation():
    module = Residual(operator_add)
    model = recipe.compile("tweak D", base=module).model
    for unit in (module.units[2], module.units[4]):
        unit.bridge[0].stride = (1, 1)
        unit.bridge = nn.Sequential(nn.AvgPool2d(2), *unit.bridge)
    (ours,), (theirs,) = (outputs(net, images(2, 64), True) for net in (model, module))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


class Gated(nn.Module):
    """A squeeze-and-excitation block after a 7×7 stem."""

    def __init__(self):
        super().__init__()
        self.stem, self.conv, self.norm = nn.Conv2d(3, 8, 7, 2), nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.gate, self.fc = nn.Conv2d(8, 8, 1), nn.Linear(8, 4)

    def forward(self, images):
        x = self.stem(images)
        y = self.norm(self.conv(x))
        y = self.gate(y.mean((2, 3), keepdim=True)).sigmoid() * y
        return self.fc((x + y).mean((2, 3)))


def test_a_gate_may_follow_the_last_norm():
    program = assert_rewrites("init zero-gamma", {"init zero-gamma": 1}, base=Gated())
    assert [edit.parameter for edit in program.edits] == ["norm.weight"]


class PreActivation(nn.Module):
    """A block that ends in a convolution, so that zero-gamma has nothing to set."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm, self.conv = nn.Conv2d(3, 8, 7, 2), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(8, 4)

    def forward(self, images):
        x = self.stem(images)
        return self.fc((x + self.conv(self.norm(x).relu())).mean((2, 3)))


def test_a_block_that_ends_in_a_convolution_has_no_last_norm():
    with pytest.raises(recipe.RecipeError, match="E101"):
        recipe.compile("init zero-gamma", base=PreActivation(), device="meta")


class Loose(nn.Module):
    """Two sums that are not residual blocks: one of equal branches, and one with a constant."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(channels, 8, 1, stride=2) for channels in (3, 3, 8))
        self.norm, self.fc = nn.BatchNorm2d(8), nn.Linear(8, 4)

    def forward(self, images):
        x = self.norm(self.a(images)) + self.norm(self.b(images))
        return self.fc((x + 1).mean((2, 3)))


@pytest.mark.parametrize("text", ["tweak A", "tweak D", "init zero-gamma"])
def test_other_sums_are_not_blocks(text):
    with pytest.raises(recipe.RecipeError, match="E101"):
        recipe.compile(text, base=Loose(), device="meta")


def test_tweak_d_pools_with_the_stride_of_each_side():
    module = Residual(operator_add)
    for unit in (module.units[2], module.units[4]):
        for _, conv in unit.named_modules():
            if isinstance(conv, nn.Conv2d) and conv.stride == (2, 2):
                conv.stride = (2, 1)
    program = recipe.compile("tweak D", base=module)
    assert program.sites["tweak D"] == 2
    (edit,) = {edit.chain[0][1].arguments["kernel_size"] for edit in program.edits if hasattr(edit, "chain")}
    assert edit == (2, 1)


class Ended(nn.Module):
    """A block with a layer after the add that may also read the trunk, or with a ReLU before the add."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.stem, self.conv, self.after = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.bn, self.relu, self.fc = nn.BatchNorm2d(4), nn.ReLU(), nn.Linear(4, 10)

    def forward(self, x):
        x = self.stem(x)
        y = self.bn(self.conv(x))
        if self.kind in ("relu", "function"):
            z = x + (self.relu(y) if self.kind == "relu" else nn.functional.relu(y))
        else:
            z = x + y
        if self.kind == "shared":
            return self.fc(self.after(y).mean((2, 3)) * z.mean((2, 3)))
        return self.fc(self.after(z).mean((2, 3)))


@pytest.mark.parametrize(
    ("kind", "blocks", "norms"), [("plain", 1, 1), ("relu", 1, 0), ("function", 1, 0), ("shared", 0, 0)]
)
def test_blocks_and_the_ends_of_their_trunks(kind, blocks, norms):
    """A branch that another layer reads is not a trunk; a normalization before a ReLU is not the last layer."""
    found = Net(recipe.compile("base module", base=Ended(kind), device="meta").structure).blocks
    assert len(found) == blocks
    assert sum(block.last_norm is not None for block in found) == norms


@pytest.mark.parametrize(("base", "sites"), [("res2net50_26w_4s", 16), ("skresnet18", 8), ("resnet26d", 8)])
def test_zero_gamma_in_timm_models(base, sites):
    pytest.importorskip("timm")
    assert_rewrites(f"base timm:{base}; init zero-gamma", {"init zero-gamma": sites})
