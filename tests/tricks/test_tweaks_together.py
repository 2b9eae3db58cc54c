"""Squeeze-and-excitation, blur pooling and stochastic depth combined with the paper's tweaks."""

import pytest
import torch

import recipe
from recipe.testing import assert_rejects, assert_rewrites
from tests.durability.trials import small
from tests.graph.helpers import images, outputs

ALL = "tweak B C D se blurpool stochastic-depth"


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
    pooled = halving + ("regnet" not in name)  # plus the max pooling of the stem
    sites = {"tweak se": blocks, "tweak blurpool": pooled, "tweak stochastic-depth": blocks, "init zero-gamma": blocks}
    program = assert_rewrites(f"base {name}; tweak se blurpool stochastic-depth; init zero-gamma", sites)
    places = [step.word for step in program.steps]
    assert places == ["tweak se", "tweak blurpool", "tweak stochastic-depth", "init zero-gamma"]


def test_they_find_the_sites_of_a_custom_network():
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
def test_a_model_without_a_site_is_an_error(text, word):
    assert assert_rejects(text, "E101").message == f"`{word}` has no site in `{text.split()[1].rstrip(';')}`"


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
def test_a_rewritten_model_is_left_unchanged(base):
    own = {} if base else {"base": small()}
    first = recipe.compile(f"base {base}; {ALL}" if base else ALL, device="meta", **own)
    again = recipe.compile("tweak C D se blurpool stochastic-depth; init stock", base=first.model, device="meta")
    assert not any(again.sites.values())
    assert again.costs.params == first.costs.params
