"""`input channels=1`: a model for gray images, from its inputs and weights to its exports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.models import adapt_input_conv
from torch import nn

import recipe
from recipe.base.channels import LUMA, to_channels
from recipe.base.errors import RecipeError
from recipe.base.sealed import write_sealed
from recipe.inference.datasets import open_sets
from recipe.plan.bind import resolve
from recipe.runs.provenance import read_provenance
from tests.helpers import bind, diagnostics

BASE = "base timm:test_resnet"
ARCHITECTURES = ("test_resnet", "tf_efficientnet_lite0", "resnetv2_50x1_bit", "vit_tiny_patch16_224")
TEXT = f"{BASE}; data digits; input channels=1; batch 64; lr 0.05; epochs 2"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gray") / "run"
    recipe.run(TEXT, out=folder)
    return folder


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8))


def compile_error(text: str, base: nn.Module | None = None) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe.compile(text, base=base)
    (found,) = caught.value.diagnostics
    return f"{found.code} {found.message}; {found.help}"


def test_numbers_of_channels_are_those_of_the_gray_images() -> None:
    assert to_channels((0.485, 0.456, 0.406), 1) == (pytest.approx(0.299 * 0.485 + 0.587 * 0.456 + 0.114 * 0.406),)
    assert to_channels((0.3, 0.3, 0.3), 1) == (0.3,)
    assert to_channels((0.3,), 3) == (0.3, 0.3, 0.3)
    assert to_channels([0.1, 0.2, 0.3], 3) == (0.1, 0.2, 0.3)
    assert sum(LUMA) == pytest.approx(1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_for_color_become_those_that_timm_makes_of_them(architecture: str, tmp_path: Path) -> None:
    color = timm.create_model(architecture, num_classes=10)
    torch.save(color.state_dict(), tmp_path / "color.pth")
    program = recipe.compile(
        f'base timm:{architecture} weights="{tmp_path / "color.pth"}" classes=10; data fake size=224 classes=10; '
        "input channels=1"
    )
    gray = timm.create_model(architecture, num_classes=10, in_chans=1)
    first = next(name for name, weight in gray.named_parameters() if weight.ndim == 4 and weight.shape[1] == 1)
    gray.load_state_dict({**color.state_dict(), first: adapt_input_conv(1, color.state_dict()[first])})
    images = torch.rand(2, 1, 224, 224)
    with torch.no_grad():
        assert torch.allclose(program.model.eval()(images), gray.eval()(images), atol=1e-5)
    assert program.fit is not None
    assert f"the 3 input channels of `{first}` added up for gray images" in program.fit.found
    assert not program.fit.fresh


def test_the_model_sees_the_normalized_gray_image(run: Path, photo: Image.Image) -> None:
    trained, made = recipe.load(run), read_provenance(run)
    assert made is not None
    inputs = trained.preprocess(photo)
    assert inputs.shape == (1, 1, 32, 32)
    (mean,), (std,) = made.preprocessing.mean, made.preprocessing.std
    sets = open_sets(resolve("base resnet18; data digits"))
    assert mean == pytest.approx(sets.mean[0])  # digits are gray, so each channel has the same mean and deviation
    assert std == pytest.approx(sets.std[0])
    color = Image.fromarray(np.asarray(photo.resize((32, 32), Image.Resampling.BILINEAR)))
    shades = np.asarray(color.convert("L"), np.float32)
    assert np.abs((inputs[0, 0].numpy() * std + mean) * 255 - shades).max() < 2
    pixels = torch.from_numpy(np.array(color)).permute(2, 0, 1)[None]
    expected = (pixels.double() / 255 * torch.tensor(LUMA).double().view(1, 3, 1, 1)).sum(1, keepdim=True)
    exact = trained.preprocess(color)
    assert torch.allclose(exact, ((expected - mean) / std).float(), atol=1e-5)
    gray = photo.convert("L")
    assert torch.allclose(trained.preprocess(gray), trained.preprocess(gray.convert("RGB")))


def test_a_run_trains_and_evaluates_a_smaller_model(run: Path) -> None:
    final = recipe.load(run)
    assert final.model.get_parameter("conv1.0.weight").shape == (16, 1, 3, 3)
    assert final.evaluate().top1 > 0.8
    costs = [recipe.compile(text).costs for text in (TEXT, f"{BASE}; data digits")]
    first = 16 * 3 * 3 * 16 * 16  # multiply-accumulates of the first layer, per input channel
    assert costs[1].macs - costs[0].macs == 2 * first


@pytest.mark.parametrize("format", ["onnx", "python"])
def test_an_export_takes_gray_inputs_or_pixels(run: Path, tmp_path: Path, format: str) -> None:
    plain = recipe.export(run, to=format, out=tmp_path / f"plain.{format[:2]}")
    deployed = recipe.export(run, to=format, deploy=True, out=tmp_path / f"deployed.{format[:2]}")
    assert plain.difference is not None
    assert deployed.difference is not None


def test_its_weights_suggest_gray_images_and_fit_a_model_for_color(run: Path) -> None:
    text = f'{BASE} weights="{run}"; data digits'
    gray = recipe.compile(text)
    assert gray.training.channels == 1
    use = gray.plan.find("input")
    assert use is not None
    assert (use.values["channels"], use.origins["channels"].kind) == (1, "suggestion")
    assert gray.fit is not None
    assert not gray.fit.fresh
    assert not gray.mismatches
    color = recipe.compile(f"{text}; input channels=3")
    assert len(color.training.mean or ()) == 3
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        expected, found = gray.model.eval()(images), color.model.eval()(images.expand(-1, 3, -1, -1))
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_loaded_model_is_evaluated_in_its_own_channels(run: Path) -> None:
    model = recipe.pretrained(f'{BASE} weights="{run}" classes=10; data digits')
    assert model.model.get_parameter("conv1.0.weight").shape[1] == 1
    assert model.evaluate().top1 == recipe.load(run).evaluate().top1
    with pytest.raises(RecipeError, match="the model takes images of 1 channel"):
        model.evaluate("input channels=3")


def test_the_deep_stem_takes_gray_images() -> None:
    program = recipe.compile("base resnet18; tweak C; data digits; input channels=1")
    assert program.model.get_parameter("conv1.0.weight").shape[:2] == (32, 1)
    assert [step.word for step in program.steps][-1] == "input"
    (edit,) = program.steps[-1].edits
    assert str(edit).startswith("conv1.0: replaced by conv1.0 Conv2d(in_channels=1, out_channels=32, ")


def test_models_without_a_single_first_convolution_stay_in_color() -> None:
    text = "base timm:repvgg_a0; data fake size=224; input channels="
    assert recipe.compile(f"{text}3", device="meta").training.channels == 3
    assert compile_error(f"{text}1") == (
        "E101 `input` has no site in `timm:repvgg_a0`; Replace the single convolution on the image by one with this "
        "many input channels. `timm:repvgg_a0` has no matching layers."
    )


def test_a_first_convolution_that_is_not_on_the_image_is_refused() -> None:
    text = "base timm:tresnet_m; data fake size=64; input channels="
    assert "input" not in {step.word for step in recipe.compile(f"{text}3", device="meta").steps}
    assert "E101 `body.conv1.conv`, a Conv2d, takes 48 channels, not the image itself" in compile_error(f"{text}1")


def test_a_layer_that_does_not_tell_how_it_was_made_is_refused() -> None:
    assert "`stem.conv`, a ScaledStdConv2d, can't be made for other channels" in compile_error(
        "base timm:nf_resnet26; data fake size=64; input channels=1"
    )


def test_a_mean_of_three_channels_is_that_of_gray_images() -> None:
    training = bind("base resnet18; input channels=1 mean=0.485 0.456 0.406 std=0.2").training
    assert training.mean == to_channels((0.485, 0.456, 0.406), 1)
    assert training.std == (0.2,)
    assert bind("base resnet18; input mean=0.5").training.mean == (0.5, 0.5, 0.5)


def test_a_recipe_without_channels_keeps_its_digest() -> None:
    text = "base resnet50 weights=IMAGENET1K_V2; data digits; tweak C; input mean=0.5 0.5 0.5"
    assert bind(text).digest == "17358c4229f77db1"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("input channels=2", "E024 `channels` of `input` takes 1 or 3, not `2`"),
        ("input channels=4", "E024 `channels` of `input` takes 1 or 3, not `4`"),
        ("input mean=0.1 0.2", "E025 `mean` of `input` takes 1 or 3 numbers"),
        ("input mean=0.1 0.2 0.3 0.4", "E026 unexpected value `0.4`"),
    ],
)
def test_other_channels_are_refused(text: str, told: str) -> None:
    (found,) = diagnostics(f"base resnet18; {text}")
    assert f"{found.code} {found.message}".startswith(told)


class Small(nn.Module):
    def __init__(self, channels: int, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 6, 3, groups=groups)
        self.fc = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(x).mean((2, 3)))


def test_a_model_of_ones_own_for_gray_images() -> None:
    text, own = "base module; data fake size=16 classes=4", Small(1)
    assert compile_error(text, own) == (
        "E102 `conv` of `Small` takes 1 channel, but images have 3; state `input channels=1`"
    )
    program = recipe.compile(f"{text}; input channels=1", base=own)
    images = torch.rand(2, 1, 16, 16)
    assert torch.equal(program.model.eval()(images), own.eval()(images))
    assert torch.equal(program.model.conv.weight, own.conv.weight)
    assert not next(step for step in program.steps if step.word == "input").changed
    color = recipe.compile(f"{text}; input channels=3", base=own)
    assert color.model.conv.weight.shape == (6, 3, 3, 3)
    assert "takes 4 channels; let it take 3 channels, or 1" in compile_error(text, Small(4))
    assert compile_error(f"{text}; input channels=1", Small(3, groups=3)).startswith("E101 `conv`, a Conv2d")


def test_a_student_and_its_teacher_take_the_same_channels(run: Path) -> None:
    text = f'{BASE}; data digits; batch 64; epochs 1; loss distill "{run}"'
    with pytest.raises(RecipeError) as caught:
        recipe.run(text, out=run.parent / "student")
    (found,) = caught.value.diagnostics
    assert found.code == "E072"
    assert found.message == "the teacher `run` takes images of 1 channel, but the student of 3"
    assert recipe.run(f"{text}; input channels=1", out=run.parent / "student")


def test_recorded_channels_that_disagree_are_refused(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    file = tmp_path / "run" / "preprocessing.json"
    about = json.loads(file.read_text())
    assert [len(about[name]) for name in ("mean", "std")] == [1, 1]
    del about["checksum"]
    write_sealed(file, about | {"std": about["std"] * 3})
    with pytest.raises(RecipeError, match=r"`std` must have three numbers, or one for gray images"):
        recipe.load(tmp_path / "run")
