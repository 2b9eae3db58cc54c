"""`norm precise`: the statistics that are evaluated and saved are those of the final weights."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import recipe
from tests.durability.test_ranks import TEXT, train
from tests.helpers import command

DATA = "data fake classes=10 images=24 size=32; batch 8; epochs 2; lr 0.1"
MANY = "augment flip crop mixup 0.4; resize 0.5"
WHOLE = TEXT.replace("images=26", "images=24")  # without a batch of two images, which are not shared


def statistics(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.named_buffers() if "running" in name}


def norms() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8),
                         nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))  # fmt: skip


def expected(model: nn.Module, batches: recipe.Batches, first: int, last: int, micro: int) -> dict[str, torch.Tensor]:
    """Return the mean and variance of all values that each layer normalizes in some steps."""
    model, seen = copy.deepcopy(model).train(), dict[str, list[torch.Tensor]]()
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            values = seen.setdefault(name, [])
            module.register_forward_pre_hook(
                lambda _, inputs, values=values: values.append(inputs[0].movedim(1, 0).flatten(1))
            )
    with torch.no_grad():
        for batch in batches.training(first, last):
            torch.manual_seed(batch.seed)
            for images in batch.images.split(micro):
                model(images)
    every = {name: torch.cat(values, 1) for name, values in seen.items()}
    means = {f"{name}.running_mean": values.mean(1) for name, values in every.items()}
    return means | {f"{name}.running_var": values.var(1) for name, values in every.items()}


@pytest.mark.parametrize("more", ["", MANY, "ema 0.5", "batch micro 4", "batch 10", "compile"])
def test_they_are_those_of_all_values_that_pass_with_the_final_weights(more: str, tmp_path: Path) -> None:
    program = recipe.compile(f"{DATA}; norm precise 12", more, base=norms())
    run = recipe.run(program, out=tmp_path / "run", device="cpu")
    batches = recipe.batches(program, device="cpu")
    assert "norm precise" in batches.not_included
    first = batches.steps - 2  # two batches, here the last one may be shorter, have at least 12 images
    micro = 4 if "micro" in more else 10
    torch.testing.assert_close(
        statistics(run.model), expected(run.model, batches, first, batches.steps, micro), rtol=1e-4, atol=1e-6
    )
    plain = recipe.run(recipe.compile(DATA, more, base=norms()), out=tmp_path / "plain", device="cpu")
    for (name, mine), theirs in zip(run.model.state_dict().items(), plain.model.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs) == ("running" not in name), name


def test_frozen_normalization_keeps_its_statistics(tmp_path: Path) -> None:
    text = f"{DATA}; norm precise; freeze norms until=2"
    run = recipe.run(recipe.compile(text, base=norms()), out=tmp_path / "run", device="cpu")
    kept = statistics(run.model)
    assert kept["1.running_mean"].eq(0).all()
    assert kept["1.running_var"].eq(1).all()
    freed = recipe.run(recipe.compile(f"{text[:-1]}1", base=norms()), out=tmp_path / "freed", device="cpu")
    assert not statistics(freed.model)["1.running_mean"].eq(0).all()


def test_a_model_with_slow_averages_learns_within_few_updates(tmp_path: Path) -> None:
    """Those of MobileNetV3 move by 1 % per update, so after 23 updates they are mostly the initial ones."""
    text = "base mobilenet_v3_small; data digits; batch 64; epochs 1; lr 0.02"
    before, after = (recipe.run(f"{text}; {word}", out=tmp_path / word) for word in ("seed 0", "norm precise"))
    assert before.summary["top1"] < 0.2
    assert after.summary["top1"] > 0.7
    assert after.evaluate().top1 == after.summary["top1"]


@pytest.mark.parametrize(("model", "shown"), [("vit_b_16", True), ("resnet18", False)])
def test_without_batch_normalization_it_has_no_effect(model: str, shown: bool) -> None:
    found = command("explain", f"base {model}; {DATA.replace('32', '224')}; norm precise")
    assert (
        "`norm precise` has no effect: the model has no batch normalization" in found.stdout + found.stderr
    ) is shown


@pytest.mark.slow
@pytest.mark.parametrize("more", ["norm sync", "norm sync; ema 0.5"])
def test_two_processes_share_the_images(more: str, tmp_path: Path) -> None:
    found = []
    for world in (1, 2):
        (tmp_path / str(world)).mkdir()
        statements = ("norm precise", *more.split("; "))
        assert train(world, tmp_path / str(world), *statements, model="norms", text=WHOLE) == 0
        weights = load_file(tmp_path / str(world) / "run" / "model.safetensors")
        found.append({name: value for name, value in weights.items() if "running" in name})
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)
