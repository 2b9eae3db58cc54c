"""`batch N micro auto` finds the part of a batch that fits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import recipe
from recipe import memory
from recipe.devices import precision
from recipe.engine import prepare
from recipe.trainer import Trainer
from tests.durability.trials import Cut, outcome, small

TEXT = "data fake size=32 classes=10 images=48; batch 24 micro auto; epochs 1; lr 0.05; ema 0.9"


def trainer() -> Trainer:
    sets, program = prepare((compiled := recipe.compile(TEXT, base=small())).plan, compiled)
    device = torch.device("cpu")
    return Trainer.make(program, sets, device, precision("fp32", device), {})


def test_with_room_enough_the_whole_batch_is_taken(tmp_path: Path) -> None:
    run = recipe.run(recipe.compile(TEXT, base=small()), out=tmp_path / "run", device="cpu")
    note = "batch micro auto: a whole batch fits; batch normalisation averages over 24 images"
    assert note in run.summary["notes"]


def test_with_little_room_a_part_is_taken_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = memory._activations(trainer(), 2) / 2
    monkeypatch.setattr(memory, "free_memory", lambda: int(one * 8 / memory.SPARE))
    run = recipe.run(recipe.compile(TEXT, base=small()), out=tmp_path / "auto", device="cpu")
    assert "batch micro auto: 6 images at a time; batch normalisation averages over 6 images" in run.summary["notes"]
    fixed = recipe.run(recipe.compile(TEXT.replace("auto", "6"), base=small()), out=tmp_path / "fixed", device="cpu")
    for name, tensor in fixed.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], tensor), name


def test_a_resumed_run_keeps_the_part_that_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = memory._activations(trainer(), 2) / 2
    monkeypatch.setattr(memory, "free_memory", lambda: int(one * 8 / memory.SPARE))
    whole = recipe.run(recipe.compile(TEXT, base=small()), out=tmp_path / "whole", device="cpu")
    with pytest.raises(recipe.Interrupted):
        recipe.run(recipe.compile(TEXT, base=small()), out=tmp_path / "cut", device="cpu", listener=Cut("first step"))
    monkeypatch.setattr(memory, "free_memory", lambda: 10**12)
    resumed = recipe.run(recipe.compile(TEXT, base=small()), out=tmp_path / "cut", device="cpu", resume=True)
    assert outcome(resumed.folder) == outcome(whole.folder)


@pytest.mark.parametrize(("limit", "free"), [("1000000", 400_000), ("max", None), (None, None), ("5000", 0)])
def test_the_limit_of_a_container_counts(
    limit: str | None, free: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    if limit:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text("700000\n")
        (tmp_path / "memory.stat").write_text("active_file 5\ninactive_file 100000\n")
    found = memory.free_memory()
    assert found is not None
    assert found == free if free is not None else found > 10**6


def test_a_device_that_says_no_is_asked_for_half(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def step(one: Trainer, images: int, share: int) -> None:
        tried.append(images)
        if images > 5:
            raise torch.OutOfMemoryError("too much")

    found = trainer()
    monkeypatch.setattr(memory, "_try", step)
    monkeypatch.setattr(found, "device", torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    assert memory.fitting_micro(found) == 3
    assert tried == [24, 12, 6, 3]


def test_trying_leaves_nothing_behind() -> None:
    one = trainer()
    before = {name: tensor.clone() for name, tensor in one.model.state_dict().items()}
    memory._try(one, 4, 8)
    assert all(torch.equal(before[name], tensor) for name, tensor in one.model.state_dict().items())
    assert all(parameter.grad is None for parameter in one.model.parameters())
