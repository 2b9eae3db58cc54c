"""The auxiliary heads of Inception-V3 and GoogLeNet run in training and cost nothing in evaluation."""

import copy

import pytest
import torch
from torch import nn

import recipe
from tests.graph.helpers import copy_by_name, images, outputs, randomise, shapes

# An image size large enough for evaluation, and the heads in the order of their logits in the stock model.
MODELS = {"googlenet": (64, ("aux2", "aux1")), "inception_v3": (96, ("AuxLogits",))}


@pytest.fixture(scope="module", params=MODELS)
def pair(request):
    """Return a compiled model and the stock model with the same weights."""
    program = recipe.compile(f"base {request.param}; init stock")
    stock = program.plan.base.trick.build(1000)
    randomise(stock)
    copy_by_name(stock, program.model)
    return request.param, program, stock


def test_the_state_dict_has_the_names_of_the_stock_model(pair):
    _, program, stock = pair
    assert shapes(program.model) == shapes(stock)


def test_training_returns_logits_and_auxiliary_logits(pair):
    name, program, stock = pair
    size = program.costs.size
    ours, theirs = (outputs(net, images(2, size), True) for net in (program.model, stock))
    assert len(ours) == len(theirs) == 1 + len(MODELS[name][1])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert not torch.equal(ours[0], ours[1])


def test_evaluation_returns_only_logits(pair):
    name, program, stock = pair
    ours, theirs = (net.eval()(images(2, MODELS[name][0])) for net in (program.model, stock))
    assert isinstance(ours, torch.Tensor)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_evaluation_does_not_compute_the_heads(pair):
    name, program, _ = pair
    calls = []
    heads = MODELS[name][1]
    model = copy.deepcopy(program.model).eval()
    for head in heads:
        model.get_submodule(head).register_forward_hook(lambda *call: calls.append(call))
    model(images(1, MODELS[name][0]))
    assert calls == []
    model.train()(images(2, program.costs.size))
    assert len(calls) == len(heads)


def test_heads_are_initialized_and_counted(pair):
    name, program, stock = pair
    fates = recipe.compile(f"base {name}", device="meta").fates
    for head in MODELS[name][1]:
        assert {fate for parameter, fate in fates.items() if parameter.startswith(f"{head}.")} == {"reinitialised"}
    assert program.costs.params == sum(parameter.numel() for parameter in stock.parameters())


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        return self.fc(nn.functional.dropout(x.mean((2, 3)), 0.5, self.training))


class Twice(nn.Module):
    """A custom net with an auxiliary head, and with functional dropout in its own forward."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)
        self.side, self.main = Head(), Head()

    def forward(self, images):
        x = self.first(images)
        y = nn.functional.dropout(self.second(x), 0.2, training=self.training)
        return (self.main(y), self.side(x)) if self.training else self.main(y)


@pytest.mark.parametrize("training", [True, False])
def test_a_custom_net_with_a_head(training):
    module = Twice()
    program = recipe.compile("init stock", base=module)
    ours, theirs = (outputs(net, images(3, 8), training) for net in (program.model, module))
    assert len(ours) == len(theirs) == 1 + training
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
