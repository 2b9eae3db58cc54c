"""Costs match torch's own counter on the stock model, to the last digit."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import recipe
from recipe.graph.shapes import on_meta
from tests.graph.helpers import classifiers, stock_program


@pytest.mark.parametrize("name", classifiers())
def test_flops_and_parameters_of_every_classifier(name):
    program = stock_program(name)
    stock = on_meta(lambda: program.plan.base.trick.build(None)).eval()
    size = program.plan.base.trick.image_size()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        stock(torch.empty(1, 3, size, size, device="meta"))
    assert program.costs.flops == counter.get_total_flops()
    assert program.costs.params == sum(parameter.numel() for parameter in stock.parameters())


def test_stages_of_a_residual_net():
    costs = recipe.compile("base resnet50", device="meta").costs
    assert list(costs.stages) == ["stem", "layer1", "layer2", "layer3", "layer4", "head"]
    stem, head = costs.stages["stem"], costs.stages["head"]
    assert stem.macs == 7 * 7 * 3 * 64 * 112 * 112
    assert stem.params == 7 * 7 * 3 * 64 + 2 * 64
    assert stem.activations == 64 * 112 * 112
    assert (head.macs, head.params, head.activations) == (2048 * 1000, 2048 * 1000 + 1000, 1000)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("params", lambda cost: cost.params),
        ("macs", lambda cost: cost.macs),
        ("activations", lambda cost: cost.activations),
    ],
)
def test_the_total_is_the_sum_of_the_stages(field, value):
    costs = recipe.compile("base resnet18; tweak C D", device="meta").costs
    assert getattr(costs, field) == sum(value(stage) for stage in costs.stages.values())


def test_activations_count_convolutions_and_fully_connected_layers():
    # Radosavovic et al. 2020, table 1, count 11.1 M for ResNet-50 at 224 px, without the classifier's 1000.
    costs = recipe.compile("base resnet50", device="meta").costs
    assert round((costs.activations - 1000) / 1e6, 1) == 11.1


def test_costs_follow_the_size_of_the_images():
    small, large = (recipe.compile(f"base resnet50; data fake size={size}", device="meta").costs for size in (224, 448))
    assert (small.size, large.size) == (224, 448)
    assert small.params == large.params
    assert large.macs - large.stages["head"].macs == 4 * (small.macs - small.stages["head"].macs)


def test_costs_do_not_depend_on_the_device():
    recipes = [recipe.compile("base resnet18; tweak D", device=device).costs for device in ("cpu", "meta")]
    assert recipes[0] == recipes[1]
