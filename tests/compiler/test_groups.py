"""Options that tricks set for single parameters are in force, or rejected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import recipe
from recipe.api import Trick, trick
from recipe.base.errors import RecipeError
from recipe.explain.program import explain
from recipe.plugins.vocabulary import Vocabulary
from recipe.training.trainer import Trainer
from tests.durability.trials import Cut
from tests.helpers import vocabulary_with

TEXT = "data fake size=32 classes=10 images=8; batch 4; epochs 2; seed 3; precision fp32; init stock"
PLAIN = "optimizer sgd momentum=0; decay 0; lr 0.1"


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))


def setting(options: Mapping[str, Any], word: str = "slowly", parameter: str = "3.weight") -> type[Trick]:
    """Return a trick that sets options for one parameter."""

    @trick(word, writes=("groups",))
    class Slowly(Trick):
        """Set options for one parameter."""

        def param_options(self, name: str, weight: torch.Tensor, module: nn.Module, place: Any) -> Mapping[str, Any]:
            return options if name == parameter else {}

    return Slowly


def options_of(options: Mapping[str, Any], text: str = PLAIN) -> Mapping[str, Any]:
    """Return the options that are in force for the parameter."""
    words = vocabulary_with(setting(options))
    program = recipe.compile(f"{TEXT}; {text}; slowly", base=net(), plugins=words)
    (group,) = (group for group in program.groups if "3.weight" in group.names)
    return group.options


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ({"lr_scale": 0.5}, PLAIN, {"weight_decay": 0.0, "lr_scale": 0.5}),
        ({"lr_scale": 1}, PLAIN, {"weight_decay": 0.0}),
        ({"lr_scale": 0}, PLAIN, {"weight_decay": 0.0, "lr_scale": 0.0}),
        ({"weight_decay": 0.25}, PLAIN, {"weight_decay": 0.25}),
        ({"momentum": 0.5}, PLAIN, {"weight_decay": 0.0, "momentum": 0.5}),
        ({"nesterov": True, "momentum": 0.5}, PLAIN, {"weight_decay": 0.0, "momentum": 0.5, "nesterov": True}),
        ({"betas": (0.5, 0.9)}, "optimizer adamw; lr 1e-3", {"weight_decay": 1e-4, "betas": (0.5, 0.9)}),
        ({"trust": 0.01}, "optimizer lars; decay 0", {"weight_decay": 0.0, "trust": 0.01}),
    ],
)
def test_options_that_are_in_force(options: Mapping[str, Any], text: str, expected: Mapping[str, Any]) -> None:
    assert options_of(options, text) == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lr": 1e-4}, "`lr`, for `3.weight`, has no effect: the learning rate is set before each step"),
        ({"foo": 3}, "`foo`, for `3.weight`, is not an option of `optimizer sgd`"),
        ({"betas": (0.5, 0.9)}, "`betas`, for `3.weight`, is not an option of `optimizer sgd`"),
        ({"params": ()}, "`params`, for `3.weight`, is not an option"),
        ({"fused": False}, "`fused`, for `3.weight`, is not an option"),
        ({"lr_scale": float("nan")}, "`lr_scale`, for `3.weight`, must be a number of at least 0, not nan"),
        ({"lr_scale": -1}, "must be a number of at least 0, not -1"),
        ({"lr_scale": float("inf")}, "must be a number of at least 0, not inf"),
        ({"lr_scale": True}, "must be a number of at least 0, not True"),
        ({"lr_scale": "0.1"}, "must be a number of at least 0, not '0.1'"),
        ({"weight_decay": None}, "`weight_decay`, for `3.weight`, must be a number of at least 0, not None"),
        ({"momentum": -0.5}, "`momentum`, for `3.weight`, must be a number of at least 0, not -0.5"),
        ({"nesterov": 1}, "`nesterov`, for `3.weight`, must be True or False, not 1"),
    ],
)
def test_options_without_effect_and_wrong_values_are_rejected(options: Mapping[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        options_of(options)
    (error,) = caught.value.diagnostics
    assert (error.code, error.span and error.span.text) == ("E080", "slowly")
    assert "`slowly` from theirs is broken: param_options: " in error.message
    assert said in error.message
    if "no effect" in said or "not an option" in said:
        assert error.help.startswith("return `dampening`, `lr_scale`, `maximize`, `momentum`, `nesterov`, `weight_dec")


def test_betas_must_be_as_many_as_the_optimizer_has() -> None:
    with pytest.raises(RecipeError, match="must be a tuple of 2 numbers of at least 0"):
        options_of({"betas": (0.5,)}, "optimizer adamw; lr 1e-3")


def test_factors_of_several_tricks_multiply() -> None:
    tricks = [setting({"lr_scale": 0.5}, "half"), setting({"lr_scale": 0.25}, "quarter")]
    program = recipe.compile(f"{TEXT}; half; quarter", base=net(), plugins=vocabulary_with(*tricks))
    assert [group.options.get("lr_scale") for group in program.groups] == [None, 0.125]


def test_explain_shows_the_factor() -> None:
    program = recipe.compile(f"{TEXT}; slowly", base=net(), plugins=vocabulary_with(setting({"lr_scale": 0.5})))
    assert "1 tensor, 80 values: lr_scale 0.5, weight_decay 0.0001" in explain(program, "cpu")


def trained(words: Vocabulary, text: str, out: Path, **options: Any) -> dict[str, torch.Tensor]:
    program = recipe.compile(f"{TEXT}; {text}", base=net(), plugins=words)
    run = recipe.run(program, out=out, device="cpu", plugins=words, **options)
    return {name: tensor.clone() for name, tensor in run.model.state_dict().items()}


def test_a_scaled_rate_moves_a_weight_in_proportion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In plain SGD, w' = w − lr_scale · rate · ∇: checked in every step from the gradients of that step."""
    steps: list[tuple[str, torch.Tensor, torch.Tensor, torch.Tensor, float]] = []
    original = torch.optim.SGD.step

    def recorded(self: torch.optim.SGD, closure: Any = None) -> Any:
        state = [
            (name, weight.detach().clone(), weight.grad.clone(), weight)
            for group in self.param_groups
            for name, weight in zip(group["names"], group["params"], strict=True)
        ]
        result = original(self, closure)
        steps.extend((name, before, slope, weight.detach().clone()) for name, before, slope, weight in state)
        return result

    monkeypatch.setattr(torch.optim.SGD, "step", recorded)
    words = vocabulary_with(setting({"lr_scale": 0.25}))
    trained(words, f"{PLAIN}; slowly", tmp_path / "run")
    assert len(steps) == 4 * 4
    plan = recipe.compile(f"{TEXT}; {PLAIN}", base=net()).plan
    for number, (name, before, slope, after) in enumerate(steps):
        rate = plan.learning_rate(recipe.api.Progress(number // 4, 2, 2.0))
        torch.testing.assert_close(after, before - rate * (0.25 if name == "3.weight" else 1.0) * slope)
    assert any(slope.abs().max() > 1e-3 for name, _, slope, _ in steps if name == "3.weight")


def test_a_resumed_run_keeps_the_factor(tmp_path: Path) -> None:
    words = vocabulary_with(setting({"lr_scale": 0.25}))
    whole = trained(words, f"{PLAIN}; slowly", tmp_path / "whole")
    with pytest.raises(recipe.Interrupted):
        trained(words, f"{PLAIN}; slowly", tmp_path / "cut", listener=Cut("mid-epoch"))
    resumed = trained(words, f"{PLAIN}; slowly", tmp_path / "cut", resume=True)
    other = trained(words, PLAIN, tmp_path / "other")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not torch.equal(whole["3.weight"], other["3.weight"])


def test_a_changed_factor_is_in_force_in_a_resumed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    step = Trainer.train_step

    def recorded(self: Trainer, *arguments: Any) -> float:
        rate = step(self, *arguments)
        seen.append(self.update.optimizer.param_groups[-1]["lr"] / rate)
        return rate

    words = vocabulary_with(setting({"lr_scale": 0.25}), setting({"lr_scale": 0.5}, "faster"))
    with pytest.raises(recipe.Interrupted):
        trained(words, f"{PLAIN}; slowly", tmp_path / "cut", listener=Cut("mid-epoch"))
    monkeypatch.setattr(Trainer, "train_step", recorded)
    trained(words, f"{PLAIN}; faster", tmp_path / "cut", resume=True, allow_changed=True)
    assert {*seen} == {0.5}
