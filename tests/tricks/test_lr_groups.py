"""`lr head` and `lr layers`: the rate of each parameter in each step, against a closed form, and their factors."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import recipe
from recipe import RecipeError
from recipe.explain.program import explain
from recipe.testing.models import Aided, small
from recipe.training.trainer import Trainer
from tests.durability.trials import Cut
from tests.helpers import diagnostics

TEXT = "data fake size=32 classes=10 images=24; batch 8; epochs 4; lr 0.1 warmup 1 cosine"
STEPS, WARM = 12, 3
DEPTHS = {"conv1": 0, "bn1": 0, "layer1": 1, "layer2": 2, "fc": 3}
"""The depths of the layers of the small network."""


def schedule(step: int) -> float:
    """Return the learning rate of a step: 3 steps of linear warmup to 0.1, then a half cosine to 0."""
    if step < WARM:
        return 0.1 * (step + 1) / WARM
    return 0.05 * (1 + math.cos(math.pi * (step - WARM) / (STEPS - WARM)))


def rates(monkeypatch: pytest.MonkeyPatch, out: Path, text: str, cut: str = "") -> list[dict[str, float]]:
    """Train, and return the learning rate of each parameter in each step, as the optimizer used it."""
    seen, step = list[dict[str, float]](), Trainer.train_step

    def recorded(self: Trainer, *arguments: object) -> float:
        rate = step(self, *arguments)
        groups = self.update.optimizer.param_groups
        seen.append({name: group["lr"] for group in groups for name in group["names"]})
        return rate

    program = recipe.compile(f"{TEXT}; {text}", base=small())
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", recorded)
        if cut:
            with pytest.raises(recipe.Interrupted):
                recipe.run(program, out=out, device="cpu", listener=Cut(cut))
        recipe.run(program, out=out, device="cpu", resume=bool(cut))
    return seen


@pytest.mark.parametrize(
    ("text", "head", "decay"),
    [("lr head 10", 10, 1.0), ("lr layers 0.75", 1, 0.75), ("lr layers 0.5 head 4; decay 1e-4 no-bias", 4, 0.5)],
)
@pytest.mark.parametrize("cut", ["", "mid-epoch"])
def test_the_rate_of_each_parameter_in_each_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, head: float, decay: float, cut: str
) -> None:
    found = rates(monkeypatch, tmp_path / "run", text, cut)
    assert len(found) == STEPS
    for step, at in enumerate(found):
        assert {*at} == {name for name, _ in small().named_parameters()}
        for name, rate in at.items():
            layer = name.partition(".")[0]
            factor = decay ** (3 - DEPTHS[layer]) * (head if layer == "fc" else 1)
            assert rate == pytest.approx(schedule(step) * factor, rel=1e-12)


def test_auxiliary_heads_have_the_rate_of_the_head() -> None:
    program = recipe.compile(f"{TEXT}; lr head 10", base=Aided(10), device="meta")
    (scaled,) = [group.names for group in program.groups if group.options.get("lr_scale") == 10]
    assert {*scaled} == {"fc.weight", "fc.bias", "aux.fc.weight", "aux.fc.bias"}


def test_the_head_of_a_rewritten_model_is_found() -> None:
    program = recipe.compile("base vgg11; lr head 2", device="meta")
    assert [group.names for group in program.groups if "lr_scale" in group.options] == [
        ("classifier.6.weight", "classifier.6.bias")
    ]


def test_explain_shows_the_factor_and_the_decay_of_each_group() -> None:
    program = recipe.compile(f"{TEXT}; lr layers 0.5; decay 1e-3 no-bias", base=small(), device="meta")
    lines = [line.strip() for line in explain(program, "cpu").split("\n") if " values: " in line]
    assert lines[0] == "1 tensor, 1,176 values: lr_scale 0.125, weight_decay 0.001"
    assert lines[1] == "2 tensors, 16 values: lr_scale 0.125, weight_decay 0"
    assert lines[-2:] == ["1 tensor, 160 values: weight_decay 0.001", "1 tensor, 10 values: weight_decay 0"]


def test_a_loop_of_ones_own_gets_the_rates() -> None:
    program = recipe.compile(f"{TEXT}; lr head 10", base=small())
    optimizer = program.optimizer()
    assert program.set_lr(optimizer, 4, steps_per_epoch=3) == schedule(4)
    assert {group["lr"] for group in optimizer.param_groups} == {schedule(4), 10 * schedule(4)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr layers 1", "`lr layers` has no effect: it changes the options of no parameter"),
        ("lr head 1", "`lr head` has no effect: it changes the options of no parameter"),
    ],
)
def test_factors_of_one_are_reported(text: str, said: str) -> None:
    program = recipe.compile(f"{TEXT}; {text}", base=small(), device="meta")
    assert [warning.message for warning in program.warnings] == [said]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("lr head", "E025"),
        ("lr head 0", "E024"),
        ("lr layers 1.1", "E024"),
        ("lr layers 0", "E024"),
        ("head 10", "E020"),
    ],
)
def test_wrong_values(text: str, code: str) -> None:
    assert [each.code for each in diagnostics(f"base resnet18; {text}")] == [code]


def test_a_model_without_a_last_layer_has_no_head() -> None:
    class Own(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(3, 10))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3)) @ self.scale

    program = recipe.compile(f"{TEXT}; init stock; lr head 10", base=Own())
    assert "`lr head` has no effect" in program.warnings[0].message
    with pytest.raises(RecipeError, match=r"E101.*no last layer that could be trained alone"):
        recipe.compile(f"{TEXT}; init stock; freeze body", base=Own())
