"""Blur pooling: its filter, compared with a binomial one and timm's, its sites, and ResNets with Zhang's filters."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import recipe
from recipe.api import SetAttribute
from recipe.testing import assert_rewrites
from recipe.tricks.tweak_blurpool import BLUR, POOL
from tests.graph.helpers import images, outputs, randomise, shapes


def binomial(x):
    """Filter with [1, 2, 1] / 4 along both axes, with replicated borders, and keep every second pixel."""
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
def test_two_averages_equal_blur_pooling_of_timm(sides):
    from timm.layers import BlurPool2d

    x = torch.randn(2, 4, *sides, generator=torch.Generator().manual_seed(0))
    theirs = BlurPool2d(4, filt_size=3, stride=2, pad_mode="replicate")(x)
    torch.testing.assert_close(nn.AvgPool2d(**POOL)(nn.AvgPool2d(**BLUR)(x)), theirs)


class Blur(nn.Module):
    def forward(self, x):
        return binomial(x)


def blurred(name):
    """Build torchvision's ResNet with Zhang's filters manually."""
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
def test_a_blurred_resnet_matches_a_manual_implementation(name, size):
    model, oracle = recipe.compile(f"base {name}; tweak blurpool").model, blurred(name)
    randomise(model)
    oracle.load_state_dict(dict(zip(oracle.state_dict(), model.state_dict().values(), strict=True)))
    for training in (False, True):
        (ours,), (theirs,) = (outputs(net.double(), images(2, size).double(), training) for net in (model, oracle))
        assert ours.std() > 0.01
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("base", ["resnet18", "resnet50", "timm:resnet50d", "vgg11", "inception_v3", "regnet_y_400mf"])
@pytest.mark.parametrize("size", [299, 310])
def test_shapes_do_not_change(base, size):
    text = f"base {base}; data fake size={size}; init stock"
    stock, model = (recipe.compile(f"{text}{more}", device="meta").model for more in ("", "; tweak blurpool"))
    found = [
        [node.meta["shape"] for node in net.graph.nodes if node.name.startswith(("add", "cat", "avgpool", "fc"))]
        for net in (stock, model)
    ]
    assert found[0]
    assert found[0] == found[1]
    assert shapes(stock) == shapes(model)


def test_the_stem_keeps_its_stride_and_the_stride_moved_by_tweak_a_is_blurred():
    program = recipe.compile("base resnet50; tweak A blurpool", device="meta")
    assert program.model.get_submodule("conv1").stride == (2, 2)
    assert SetAttribute("layer2.0.conv1", "stride", (2, 2), (1, 1)) in program.edits
    assert {f"layer2.0.conv2_{name}" for name in ("blur", "pool")} <= {
        name for name, _ in program.model.named_modules()
    }


def test_after_tweak_d_shortcuts_are_not_blurred():
    program = recipe.compile("base resnet50; tweak D blurpool", device="meta")
    assert program.sites == {
        "tweak D": 3,
        "tweak blurpool": 4,
        **{k: v for k, v in program.sites.items() if "init" in k},
    }
    names = {name for name, _ in program.model.named_modules()}
    assert "layer2.0.downsample.0_pool" in names
    assert "layer2.0.downsample.0_blur" not in names


def test_it_counts_as_already_applied_without_strides():
    model = recipe.compile("base resnet18; tweak blurpool; tweak D", device="meta").model
    program = assert_rewrites("tweak blurpool", {"tweak blurpool": 0}, base=model)
    assert program.notes[0] == "tweak blurpool: already applied at 3 sites"


def test_a_shift_by_one_pixel_changes_less():
    """Zhang's motivation: without a filter, the result of subsampling depends on the position of the pixels."""
    x = images(4, 65)
    changes = []
    for text in ("base resnet18", "base resnet18; tweak blurpool"):
        model = recipe.compile(f"{text}; init kaiming").model
        one, other = (outputs(model, part, True)[0] for part in (x[..., :-1], x[..., 1:]))
        changes.append((one - other).norm() / one.norm())
    assert changes[1] < changes[0]
