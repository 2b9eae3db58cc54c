"""What `freeze` freezes in models whose dropout is a function, and how often a trick is asked for it."""

from __future__ import annotations

import copy
from pathlib import Path
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from recipe.api import body_of
from recipe.compiler.freezing import own_modes
from recipe.graph import parts
from recipe.graph.calls import MODE
from recipe.graph.net import Net
from recipe.graph.trace import trace
from recipe.testing.models import Small
from recipe.training.trainer import Trainer
from tests.tricks.steps import steps


class Functional(nn.Module):
    """Dropout by function in the body and in the head."""

    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout(self.norm(self.conv(x)), 0.5, self.training)

    def __init__(self) -> None:
        super().__init__()
        self.part, self.fc = self.Part(), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(nn.functional.dropout(self.part(x).mean((2, 3)), 0.5, self.training))


def test_dropout_by_function_follows_the_module_around_it() -> None:
    graph = trace(Functional(), "model")
    before, x = copy.deepcopy(graph), torch.rand(64, 3, 8, 8)
    own_modes(graph)
    for mode in (True, False):
        outputs = []
        for model in (graph, before):
            torch.manual_seed(0)
            outputs.append(model.train(mode)(x))
        assert torch.equal(*outputs)
    graph.train().part.eval()
    with torch.no_grad():
        zeros = (graph(x) == graph.fc.bias).float().mean()
        torch.manual_seed(0)
        one = graph(x)
        torch.manual_seed(0)
        features = graph.part.norm(graph.part.conv(x)).mean((2, 3))
        assert torch.equal(one, graph.fc(nn.functional.dropout(features, 0.5)))
    assert zeros < 1


def test_modules_that_hold_a_mode_are_not_heads() -> None:
    graph = trace(Functional(), "model")
    own_modes(graph)
    assert Net(graph).heads == ("fc",)
    assert body_of(Net(graph)) == ("part",)


@pytest.mark.parametrize("span", ["", " until=1"])
def test_dropout_by_function_is_off_in_a_frozen_body(tmp_path: Path, span: str) -> None:
    """In the first step of a training, whose features are then those of evaluation mode."""
    seen = list[bool]()

    def after(trainer: Trainer) -> None:
        with trainer.holding(trainer.freezing.at(trainer.progress())):
            drops = getattr(trainer.model.part, MODE).training  # type: ignore[union-attr]
        seen.append(drops)

    steps(tmp_path / "run", f"batch 8; epochs 2; freeze body{span}", Functional(), after)
    assert seen[0] is False
    assert seen[-1] is bool(span)


def test_a_body_is_found_once(tmp_path: Path) -> None:
    with mock.patch.object(parts, "_covering", wraps=parts._covering) as covering:
        steps(tmp_path / "run", "batch 8; epochs 2; freeze body until=1", Small(10))
    assert covering.call_count <= 2  # for the plan's summary, and for the training
