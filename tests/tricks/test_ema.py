"""The moving average of the weights, compared with the plain formula."""

import copy

import pytest
import torch
from torch import nn

from recipe.plugins.progress import Progress
from recipe.training.average import Average
from tests.helpers import bind
from tests.tricks.steps import replacing, steps


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.9999])
def test_the_average_matches_the_plain_formula(decay):
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    use = bind(f"base resnet18; ema {decay!r}").hooked("average")[0]
    average = Average.of(copy.deepcopy(model), model, use)
    averaged = [*model.parameters(), model[1].running_mean, model[1].running_var]
    expected = [value.detach().clone() for value in averaged]
    for update in range(30):
        kept = min(decay, (1 + update) / (10 + update))
        with torch.no_grad():
            for parameter, value in zip(averaged, expected, strict=True):
                parameter.normal_(generator=generator)
                value.mul_(kept).add_(parameter, alpha=1 - kept)
            model[1].num_batches_tracked += 1
        average.update(Progress(update, 1, 30))
        made = [*average.model.parameters(), average.model[1].running_mean, average.model[1].running_var]
        for mine, value in zip(made, expected, strict=True):
            torch.testing.assert_close(mine.detach(), value, rtol=1e-5, atol=1e-6)
        assert average.model[1].num_batches_tracked == update + 1


@pytest.mark.parametrize(("text", "decays"), [("ema", [0.9999]), ("ema 0.99", [0.99]), ("seed 1", [])])
def test_only_recipes_with_ema_have_an_average(text, decays):
    assert [use.trick.decay for use in bind(f"base resnet18; {text}").hooked("average")] == decays


def test_the_average_follows_replaced_tensors(tmp_path):
    """For example, a layer may bound its weights by replacing them."""
    states = []

    def seen(trainer):
        states.append([copy.deepcopy(one.state_dict()) for one in (trainer.model, trainer.average.model)])

    found = steps(tmp_path / "run", "batch 8; epochs 1; lr 0.5; ema 0.5", replacing(), seen)
    expected = copy.deepcopy(found.start.state_dict())
    for update, (now, average) in enumerate(states):
        kept = min(0.5, (1 + update) / (10 + update))
        for name in ("0.weight", "1.running_mean", "1.last", "5.bias"):
            expected[name] = kept * expected[name] + (1 - kept) * now[name]
            torch.testing.assert_close(average[name], expected[name], rtol=1e-5, atol=1e-6)
        assert average["1.batches"] == now["1.batches"] == update + 1
