"""LARS, compared with timm's and with the formula of You et al."""

import copy

import pytest
import torch
from timm.optim.lars import Lars as Timms
from torch import nn

import recipe
from recipe.compiler.groups import optimizer_groups
from tests.helpers import bind


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))


def made(model, text):
    program = recipe.compile(f"data fake size=8 classes=5; {text}", base=model)
    groups = optimizer_groups(program.groups, model)
    return program.plan.hooked("optimize")[0].trick.optimize(groups, program.plan.training.rate)


def trained(model, optimizer, steps=6):
    """Return the weights after some steps with a changing learning rate."""
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        images = torch.randn(8, 3, 8, 8, generator=generator)
        labels = torch.randint(0, 5, (8,), generator=generator)
        for group in optimizer.param_groups:
            group["lr"] = 2.0 / (1 + step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize(("momentum", "trust", "decay"), [(0.9, 0.001, 1e-4), (0.0, 0.02, 0.01), (0.8, 0.01, 0.0)])
def test_it_equals_lars_of_timm(momentum, trust, decay):
    mine, theirs = network(), network()
    text = f"optimizer lars {momentum} {trust}; decay {decay} no-bias"
    layers = [parameter for parameter in theirs.parameters() if parameter.ndim > 1]
    rest = [parameter for parameter in theirs.parameters() if parameter.ndim == 1]
    groups = [
        {"params": layers, "weight_decay": decay, "always_adapt": True},
        {"params": rest, "weight_decay": 0.0, "always_adapt": False},
    ]
    other = Timms(groups, lr=1.0, momentum=momentum, trust_coeff=trust)
    for found, expected in zip(trained(mine, made(mine, text)), trained(theirs, other), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_parameters_with_one_axis_are_updated_as_by_sgd():
    weight = torch.tensor([1.0, -2.0], requires_grad=True)
    twin = weight.detach().clone().requires_grad_()
    (use,) = bind("base resnet18; optimizer lars").hooked("optimize")
    mine = use.trick.optimize([{"params": [weight], "weight_decay": 0.01}], 0.1)
    theirs = torch.optim.SGD([twin], lr=0.1, momentum=0.9, weight_decay=0.01)
    for step in range(4):
        weight.grad, twin.grad = torch.tensor([0.5, step]), torch.tensor([0.5, step])
        mine.step()
        theirs.step()
        torch.testing.assert_close(weight, twin)


def test_it_matches_the_formula():
    weight = torch.full((2, 2), 3.0, requires_grad=True)  # its norm is 6
    (use,) = bind("base resnet18; optimizer lars momentum=0.5 trust=0.1").hooked("optimize")
    optimizer = use.trick.optimize([{"params": [weight], "weight_decay": 0.5}], 2.0)
    weight.grad = torch.full((2, 2), 1.0)  # its norm is 2
    optimizer.step()
    update = 0.1 * 6 / (2 + 0.5 * 6) * (1 + 0.5 * 3)
    torch.testing.assert_close(weight.detach(), torch.full((2, 2), 3 - 2 * update))


@pytest.mark.parametrize(("value", "gradient"), [(0.0, 1.0), (1.0, 0.0)])
def test_the_rate_is_1_for_zero_weights_or_gradients(value, gradient):
    weight = torch.full((2, 2), value, requires_grad=True)
    (use,) = bind("base resnet18; optimizer lars").hooked("optimize")
    optimizer = use.trick.optimize([{"params": [weight], "weight_decay": 0.5}], 0.1)
    weight.grad = torch.full((2, 2), gradient)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.full((2, 2), value - 0.1 * (gradient + 0.5 * value)))


def test_its_state_can_be_restored():
    whole, first = network(), network()
    text = "optimizer lars; decay 0.01"
    optimizer = made(whole, text)
    trained(whole, optimizer, 3)
    trained(first, before := made(first, text), 3)
    second = copy.deepcopy(first)
    after = made(second, text)
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    for one, other in zip(trained(whole, optimizer, 3), trained(second, after, 3), strict=True):
        assert torch.equal(one, other)


def test_a_weight_without_a_gradient_is_unchanged():
    model = network()
    optimizer = made(model, "optimizer lars; decay 0.1")
    trained(model, optimizer, 2)
    before = model[0].weight.detach().clone()
    optimizer.zero_grad()
    model[4].weight.grad = torch.ones_like(model[4].weight)
    optimizer.step()
    assert torch.equal(model[0].weight, before)
