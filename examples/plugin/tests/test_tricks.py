"""Tests of the results of the tricks. The conformance checks (see `pyproject.toml`) cover the rest of the contract."""

import doctest
import math

import pytest
import torch
import torch.nn.functional as F
from recipe_more import lr_restarts
from recipe_more.head_gem import Gem
from recipe_more.loss_confidence import entropy
from recipe_more.lr_restarts import restarts
from recipe_more.pooling import GeneralisedMean

import recipe
from recipe.api import Net
from recipe.testing import assert_rejects, assert_rewrites


@pytest.mark.parametrize("model", ["resnet18", "resnet50", "mobilenet_v3_small", "efficientnet_b0", "regnet_y_400mf"])
def test_generalized_mean_pooling_replaces_only_the_last_average(model: str) -> None:
    program = assert_rewrites(f"base {model}; head gem", {"head gem": 1})
    assert [address for address, module in program.model.named_modules() if isinstance(module, GeneralisedMean)] == [
        "avgpool.gem"
    ]


@pytest.mark.parametrize("model", ["densenet121", "vgg11"])
def test_a_model_without_a_global_pooling_module_is_rejected(model: str) -> None:
    assert_rejects(f"base {model}; head gem", "E101")


def test_only_the_same_initial_power_needs_no_edits() -> None:
    net = Net(recipe.compile("base resnet18; head gem 2", device="meta").structure)
    (same,), (other,) = (Gem(power=power).rewrite(net) for power in (2.0, 4.0))
    assert (same.where, other.where) == ("avgpool.gem", "avgpool.gem")
    assert (len(same.edits), len(other.edits)) == (0, 1)


def test_a_power_of_one_averages_and_a_large_power_takes_the_maximum() -> None:
    features = torch.rand(2, 4, 5, 5)
    torch.testing.assert_close(GeneralisedMean(1)(features), F.adaptive_avg_pool2d(features, 1))
    torch.testing.assert_close(GeneralisedMean(200)(features), F.adaptive_max_pool2d(features, 1), rtol=0.02, atol=0)


def test_the_power_trains() -> None:
    program = recipe.compile("base resnet18; head gem 2", device="meta")
    assert program.fates["avgpool.gem.power"] == "new"
    assert "avgpool.gem.power" in dict(program.model.named_parameters())


def test_entropy_matches_torch() -> None:
    logits = torch.randn(8, 5)
    torch.testing.assert_close(entropy(logits), torch.distributions.Categorical(logits=logits).entropy().mean())
    assert float(entropy(torch.zeros(1, 4))) == pytest.approx(math.log(4))


@pytest.mark.parametrize(("cycles", "ratio"), [(1, 1), (3, 1), (4, 2)])
def test_each_cycle_matches_the_schedule_of_torch(cycles: int, ratio: int) -> None:
    steps = 20 * sum(ratio**cycle for cycle in range(cycles))
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 20, ratio)
    for step in range(steps):
        assert restarts(step / steps, cycles, ratio) == pytest.approx(schedule.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        schedule.step()


def test_it_conflicts_with_another_schedule_and_names_both_packages() -> None:
    found = assert_rejects("base resnet18; lr cosine restarts", "E030")
    assert "(`lr cosine` from recipe-compiler, `lr restarts` from recipe-more)" in found.message


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(lr_restarts).failed == 0
