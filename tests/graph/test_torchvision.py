"""Every torchvision classifier compiles, and a graph without rewrites computes the same as the stock model.

RECIPE_TEST_MORE=4 tests all of them, not only a sample.
"""

import pytest
import torch
import torchvision

import recipe
from recipe.tricks._models import MODELS
from tests.graph.helpers import classifiers, copy_by_name, images, outputs, randomise, shapes, stock_program
from tests.helpers import sample


def test_the_list_of_classifiers_is_complete():
    assert sorted(MODELS) == sorted(torchvision.models.list_models(module=torchvision.models))


@pytest.mark.parametrize("name", classifiers())
def test_every_classifier_compiles(name):
    program = stock_program(name)
    assert program.edits == ()
    assert program.classes == 1000
    assert set(program.fates.values()) == {"kept"}
    assert all(parameter.is_meta for parameter in program.model.parameters())


# Families with different architectures, each with a small image size that works in training.
FAMILIES = {
    "alexnet": 64,
    "convnext_tiny": 64,
    "densenet121": 64,
    "efficientnet_b0": 64,
    "efficientnet_v2_s": 64,
    "googlenet": 64,
    "inception_v3": 299,
    "mnasnet0_5": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "regnet_x_400mf": 64,
    "regnet_y_400mf": 64,
    "resnet18": 64,
    "shufflenet_v2_x0_5": 64,
    "squeezenet1_1": 64,
    "swin_t": 64,
    "swin_v2_t": 64,
    "vgg11": 32,
    "vit_b_32": 224,
}
OTHERS = [name for name in FAMILIES if name != "resnet18"]


@pytest.mark.parametrize(
    "name",
    ["resnet18", *(pytest.param(name, marks=pytest.mark.slow) for name in sample(OTHERS, 9))],
)
def test_an_unchanged_graph_computes_the_same_as_the_stock_model(name):
    size = FAMILIES[name]
    data = "" if name == "vit_b_32" else f"; data fake size={size} classes=1000"
    program = recipe.compile(f"base {name}{data}; init stock")
    stock = program.plan.base.trick.build(1000)
    assert shapes(program.model) == shapes(stock)
    randomise(stock)
    copy_by_name(stock, program.model)
    for training in (False, True):
        ours, theirs = (outputs(net, images(2, size), training)[0] for net in (program.model, stock))
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
