"""Modules that are frozen for some of the time: their mode, gradients, optimizer state and memory."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import recipe
from recipe.api import Progress, Trick, trick
from recipe.graph.net import Net
from recipe.training.runtime import Runtime
from recipe.training.trainer import Trainer
from tests.durability.trials import Cut
from tests.helpers import vocabulary_with
from tests.tricks.steps import DATA
from tests.tricks.test_freeze import HEAD, TEXT, small


@trick("thaw", writes=("frozen",))
class Thaw(Trick):
    """Freeze all but the last layer in the first epoch."""

    def frozen(self, net: Net, progress: Progress) -> Iterator[str]:
        if progress.epoch < 1:
            yield from ("conv1", "bn1", "layer1", "layer2")


WORDS = vocabulary_with(Thaw)


@pytest.mark.parametrize("optimizer", ["optimizer nag", "optimizer adamw; lr 1e-3", "optimizer lars"])
def test_a_body_that_thaws_starts_with_fresh_optimizer_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    """Head first, then all: the state of the body is that of an optimizer before its first step."""
    states, step = list[Mapping[str, Mapping[str, Tensor]]](), Trainer.train_step

    def recorded(self: Trainer, *arguments: Any) -> float:
        rate = step(self, *arguments)
        names = {id(each): name for name, each in self.model.named_parameters()}
        state = self.update.optimizer.state
        states.append({names[id(each)]: copy.deepcopy(kept) for each, kept in state.items()})
        assert all(parameter.requires_grad for parameter in self.model.parameters())
        return rate

    monkeypatch.setattr(Trainer, "train_step", recorded)
    text = f"{DATA}; {TEXT}; {optimizer}; thaw".replace("lr 0.05; ", "" if "lr" in optimizer.split() else "lr 0.05; ")
    program = recipe.compile(text, base=small(), plugins=WORDS)
    assert not program.freezing.throughout.parameters
    recipe.run(program, out=tmp_path / "run", device="cpu")
    assert len(states) == 6
    before, first = states[2].get("conv1.weight", {}), states[3]["conv1.weight"]
    assert not any(value.any() for value in before.values())
    assert any(value.any() for value in first.values())
    if "adamw" in optimizer:
        assert (states[3]["fc.weight"]["step"], first["step"]) == (4, 1)


def test_modules_that_thaw_normalize_by_the_batch_again(tmp_path: Path) -> None:
    program = recipe.compile(f"{DATA}; {TEXT}; thaw", base=small(), plugins=WORDS)
    start = copy.deepcopy(program.model.state_dict())
    with pytest.raises(recipe.Interrupted):
        recipe.run(program, out=tmp_path / "run", device="cpu", listener=Cut("epoch boundary"))
    half = torch.load(sorted((tmp_path / "run" / "checkpoints").glob("*.pt"))[-1], weights_only=True)["model"]
    assert {name for name in start if not torch.equal(start[name], half[name])} == HEAD
    resumed = recipe.run(program, out=tmp_path / "run", device="cpu", resume=True).model.state_dict()
    whole = recipe.run(program, out=tmp_path / "whole", device="cpu").model.state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert whole["bn1.num_batches_tracked"] == 3
    assert {name for name in start if torch.equal(start[name], whole[name])} == set()


def test_memory_for_micro_batches_is_measured_with_what_thaws(tmp_path: Path) -> None:
    """A trial step freezes only what is frozen for the entire training, since later steps need more memory."""
    seen = list[bool]()

    class Watching(Runtime):
        def compile(self, model: nn.Module, mode: str | None, dynamic: bool | None) -> Any:
            return model

    text = f"{DATA}; {TEXT.replace('batch 8', 'batch 8 micro auto')}; freeze norms; thaw"
    program = recipe.compile(text, base=small(), plugins=WORDS)
    conv = Trainer.holding

    def holding(self: Trainer, frozen: Any) -> Any:
        seen.append("conv1.weight" in frozen.parameters)
        return conv(self, frozen)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "holding", holding)
        recipe.run(program, out=tmp_path / "run", device="cpu", runtime=Watching())
    assert seen == [False, True, True, True, False, False, False]
