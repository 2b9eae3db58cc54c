"""A program is compiled again, for another size, and gives its rates, parameter groups and optimizer."""

from __future__ import annotations

from pathlib import Path

import pytest
import rich.console
import torch
from torch import nn

import recipe
from recipe.base.errors import RecipeError
from recipe.testing import small
from tests.helpers import vocabulary


def flat(side: int, channels: int = 3) -> nn.Module:
    """Return a model for images of one size only."""
    conv = nn.Conv2d(channels, 4, 3, 2, 1)
    return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(4 * (side // 2) ** 2, 5))


def error_of(*arguments: object, **options: object) -> tuple[str, str, str]:
    with pytest.raises(RecipeError) as caught:
        recipe.compile(*arguments, **options)  # type: ignore[arg-type]
    (error,) = caught.value.diagnostics
    return error.code, error.message, error.help


# ---- the size of the images


def test_a_model_for_small_images_is_compiled_without_a_dataset() -> None:
    program = recipe.compile("lr 0.1", base=flat(32), size=32)
    assert (program.costs.size, program.classes) == (32, 5)
    assert program.model(torch.zeros(2, 3, 32, 32)).shape == (2, 5)
    assert recipe.compile(program, "lr 0.2").costs.size == 32
    assert recipe.compile(program, "data fake size=32").costs.size == 32
    code, message, help = error_of("lr 0.1", base=flat(32))
    assert (code, "224×224" in message) == ("E103", True)
    assert help.startswith("pass another `size=` to `recipe.compile`, or name a dataset")


def test_the_costs_of_a_stock_model_follow_the_size() -> None:
    whole, half = (recipe.compile("base resnet18", size=size, device="meta").costs for size in (224, 112))
    assert (half.size, half.params) == (112, whole.params)
    assert half.stages["layer1"].macs * 4 == whole.stages["layer1"].macs


def test_a_size_without_effect_is_refused() -> None:
    with pytest.raises(ValueError, match="with a dataset, which sets it: write `data digits size=64`"):
        recipe.compile("base resnet18; data digits", size=64)
    with pytest.raises(ValueError, match="`size` must be at least 1, not 0"):
        recipe.compile("base resnet18", size=0)


@pytest.mark.parametrize(
    ("channels", "said", "helped"),
    [
        (1, "takes 1 channel, but images have 3", "state `input channels=1`"),
        (4, "takes 4 channels", "let it take 3 channels, or 1 for gray images: no more are supported"),
    ],
)
def test_a_model_of_other_channels_is_refused_in_a_sentence(channels: int, said: str, helped: str) -> None:
    code, message, help = error_of("lr 0.1", base=flat(32, channels), size=32)
    assert (code, message, help) == ("E102", f"`0` of `Sequential` {said}", helped)


def test_the_way_out_for_gray_images_works() -> None:
    assert recipe.compile("input channels=1", base=flat(32, 1), size=32).classes == 5


# ---- a program as a recipe


def test_a_program_is_compiled_again_with_its_model() -> None:
    program = recipe.compile("tweak D", base=(mine := small()), size=64, device="meta")
    again = recipe.compile(program, "lr 0.3")
    assert (again.module, again.size, again.device) == (mine, 64, "meta")
    assert (again.training.rate, again.sites["tweak D"]) == (0.3, program.sites["tweak D"])
    assert recipe.compile(program, device="cpu").device == "cpu"


def test_a_plan_of_a_model_of_ones_own_needs_the_model() -> None:
    program = recipe.compile("tweak D", base=small(), device="meta")
    code, message, _ = error_of(program.plan, "lr 0.3")
    assert (code, "recipe.compile(…, base=model)" in message) == ("E102", True)
    assert recipe.compile(program.plan, "lr 0.3", base=small(), device="meta").training.rate == 0.3


def test_a_lock_of_a_model_of_ones_own_is_compiled_with_the_model(tmp_path: Path) -> None:
    run = recipe.run(
        recipe.compile("tweak D; data fake classes=10 images=8 size=32; batch 4; epochs 1", base=small()),
        out=tmp_path / "run",
        device="cpu",
    )
    assert recipe.compile(run.folder, base=small()).sites["tweak D"] == 1
    assert "base=model" in error_of(run.folder)[1]


def test_changes_of_a_model_are_not_lost() -> None:
    program = recipe.compile("lr 0.1", base=small(), size=32)
    with torch.no_grad():
        program.model.get_parameter("fc.weight").zero_()
    code, message, help = error_of(program, "lr 0.3")
    assert (code, "compiling it again would lose" in message) == ("E102", True)
    assert help == "compile the changed model: `recipe.compile(…, base=program.model)`"


def test_statements_override_a_program_in_a_diff() -> None:
    program = recipe.compile("tweak C", base=small(), size=32, device="meta")
    difference = recipe.diff(program, program, "tweak D")
    assert [word.word for word in difference.words] == ["tweak D"]
    assert difference.graph


# ---- rates, groups, optimizer

SCHEDULE = "base shufflenet_v2_x0_5; data fake classes=4 images=64 size=32; batch 16; epochs 5; lr 0.4 warmup 1 cosine"


def test_the_rate_of_a_step() -> None:
    program = recipe.compile(SCHEDULE, device="meta")
    assert [program.lr(step) for step in (0, 3)] == [pytest.approx(0.1), pytest.approx(0.4)]
    assert program.lr(12) == pytest.approx(0.2)  # half of the cosine: (12 / 4 - 1) / (5 - 1)
    assert program.lr(24, steps_per_epoch=8) == program.lr(12)
    with pytest.raises(ValueError, match="`steps_per_epoch` is needed"):
        recipe.compile("base resnet18", device="meta").lr(0)
    with pytest.raises(ValueError, match="there is no step -1 in epochs of 4 steps"):
        program.lr(-1)


def test_groups_and_optimizer_have_the_options_of_the_tricks() -> None:
    program = recipe.compile("optimizer nag 0.8; decay 0.01 no-bias; lr 0.3", base=small(), size=32)
    groups = program.param_groups()
    assert {name: group["weight_decay"] for group in groups for name in group["names"]} == {
        name: 0.01 if parameter.ndim > 1 else 0.0 for name, parameter in program.model.named_parameters()
    }
    optimizer = program.optimizer()
    assert isinstance(optimizer, torch.optim.SGD)
    assert (optimizer.defaults["momentum"], optimizer.defaults["nesterov"]) == (0.8, True)
    assert program.set_lr(optimizer, 0, 10) == 0.3
    assert {group["lr"] for group in optimizer.param_groups} == {0.3}


def test_a_model_of_another_program_is_refused() -> None:
    program = recipe.compile("lr 0.3", base=small(), size=32)
    wrapped = nn.Sequential(program.model)
    with pytest.raises(RecipeError, match=r"the model has no parameter `conv1\.weight`, so it is not a model of this"):
        program.optimizer(wrapped)


# ---- texts


def test_texts_are_one_line() -> None:
    program = recipe.compile("base resnet18; tweak D", device="meta")
    difference = recipe.diff(program, program, "drop tweak D; epochs 3")
    texts = [repr(program), repr(program.plan), repr(difference)]
    assert texts[0].startswith("Program(resnet18 + tweak D: 11,")
    assert texts[0].endswith(f"1000 outputs on meta; plan {program.plan.digest})")
    assert texts[2] == "Diff(A → B: - tweak D, ~ epochs)"
    assert all("\n" not in text and len(text) < 200 for text in texts)
    assert repr(recipe.diff(program, program)) == "Diff(A → B: equivalent)"


def test_notebooks_show_tables() -> None:
    program = recipe.compile("base resnet18; tweak D", device="meta")
    shown = program._repr_html_()
    assert "<td" in shown
    assert "layer4" in shown
    assert "tweak D: 3 sites" in shown
    difference = recipe.diff(program, program, "drop tweak D", names=("<a>", "b"))
    assert "&lt;a&gt;" in difference._repr_html_()
    assert "<a>" not in difference._repr_html_()


def test_a_notebook_gets_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """rich detects notebooks, and would display the text itself."""
    difference = recipe.diff("base resnet18", "base resnet18; tweak D")
    text = difference.to_text()
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    assert difference.to_text() == text
    assert "+ tweak D" in difference._repr_html_()


def test_the_public_names_are_listed() -> None:
    assert dir(recipe) == sorted(recipe.__all__)
    assert vocabulary().files == ()
