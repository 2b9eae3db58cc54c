"""Optimizers are torch's, with the settings of the recipe."""

import pytest
import torch

from tests.helpers import bind


def optimizer(text, parameter, rate=0.1, decay=0.0):
    (use,) = bind(f"base resnet18; optimizer {text}").hooked("optimize")
    return use.trick.optimize([{"params": [parameter], "weight_decay": decay}], rate)


@pytest.mark.parametrize(
    ("text", "kind", "settings"),
    [
        ("nag", torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "dampening": 0}),
        ("nag 0.8", torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": False}),
        ("sgd momentum=0", torch.optim.SGD, {"momentum": 0, "nesterov": False}),
        ("adamw", torch.optim.AdamW, {"betas": (0.9, 0.999), "eps": 1e-8}),
        ("adamw beta2=0.99 eps=1e-6", torch.optim.AdamW, {"betas": (0.9, 0.99), "eps": 1e-6}),
    ],
)
def test_settings(text, kind, settings):
    made = optimizer(text, torch.zeros(2, requires_grad=True), 0.3, 1e-4)
    assert type(made) is kind
    (group,) = made.param_groups
    assert {name: group[name] for name in settings} == settings
    assert (group["lr"], group["weight_decay"]) == (0.3, 1e-4)


@pytest.mark.parametrize(("dialect", "nesterov"), [("paper", True), ("gluoncv", True), ("torchvision", False)])
def test_the_dialect_chooses_the_optimizer(dialect, nesterov):
    (use,) = bind(f"base resnet18; dialect {dialect}").hooked("optimize")
    (group,) = use.trick.optimize([{"params": [torch.zeros(1, requires_grad=True)]}], 0.1).param_groups
    assert (group["momentum"], group["nesterov"]) == (0.9, nesterov)


@pytest.mark.parametrize(("text", "nesterov"), [("nag", True), ("sgd", False)])
def test_momentum_matches_the_formula(text, nesterov):
    parameter = torch.tensor([1.0, -2.0], requires_grad=True)
    made = optimizer(text, parameter, decay=0.01)
    value, speed = parameter.detach().clone(), torch.zeros(2)
    for step in range(5):
        gradient = torch.tensor([0.5, float(step)])
        parameter.grad = gradient.clone()
        made.step()
        gradient = gradient + 0.01 * value
        speed = 0.9 * speed + gradient
        value = value - 0.1 * (gradient + 0.9 * speed if nesterov else speed)
        torch.testing.assert_close(parameter.detach(), value)
