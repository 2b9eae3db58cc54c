"""Words of a recipe that say something else of its model than its weights and images do are reported."""

from __future__ import annotations

import io
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision.models import WeightsEnum

import recipe
from recipe.api import Trick, trick
from recipe.compiler.mismatches import mismatches
from recipe.inference.datasets import open_sets
from recipe.training.setup import prepare
from tests.builtins import write_files
from tests.helpers import bind, command, vocabulary_with

VIT = "timm:vit_tiny_patch16_224"


def told(text: str) -> list[str]:
    _, program = prepare(bind(text))
    return [warning.message for warning in program.warnings]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with images in `folder-0`, and weights of a ViT and a ResNet-18."""
    root = tmp_path_factory.mktemp("files")
    write_files(root)
    save_file(timm.create_model(VIT.removeprefix("timm:")).state_dict(), root / "vit.safetensors")
    save_file(recipe.compile("base resnet18 classes=10").model.state_dict(), root / "r18.safetensors")
    return root


def test_inputs_that_pretrained_weights_do_not_expect_are_reported(files: Path) -> None:
    vit = f'base {VIT} weights="{files}/vit.safetensors"'
    expected = (
        f"`{files}/vit.safetensors` may have been trained on other inputs than this run feeds it: "
        "mean 0.5 0.5 0.5, not 0.485 0.458 0.408; "
        "std 0.5 0.5 0.5, not 0.229 0.224 0.225; interpolation bicubic, not bilinear"
    )
    text = f'{vit}; data folder "{files}/folder-0" workers=0; batch 4; epochs 1; lr 1e-3; precision fp32'
    assert told(text) == []
    text += "; input mean=0.485 0.458 0.408 std=0.229 0.224 0.225 interpolation=bilinear"
    text += "; evaluation crop=87.5% interpolation=bilinear"
    assert told(text) == [expected]
    for words in (["explain", text], ["run", text, "--dry-run", "--device", "cpu"]):
        found = command(*words)
        assert expected in found.stdout + found.stderr, words
        assert f"150 of 152 tensors in `{files}/vit.safetensors` fit and are loaded" in found.stdout + found.stderr, (
            words
        )
    assert told(text.replace(f' weights="{files}/vit.safetensors"', "")) == []


def test_weights_of_torchvision_tell_what_they_expect(files: Path) -> None:
    plan = bind(f'base resnet18 weights=DEFAULT; data folder "{files}/folder-0"; lr 1e-3')
    assert mismatches(recipe.compile(plan, device="meta"), open_sets(plan)) == ()
    plan = bind("base resnet50 weights=IMAGENET1K_V2; data fake size=64 classes=10 images=8; lr 1e-3")
    (warning,) = mismatches(recipe.compile(plan, device="meta"), open_sets(plan))
    assert warning.message.endswith("inputs than this run feeds it: size 224, not 64; crop 0.966, not 1")
    assert warning.span is not None
    assert warning.span.text == "weights=IMAGENET1K_V2"


def test_weights_from_tensorflow_expect_other_inputs(files: Path) -> None:
    save_file(recipe.compile("base googlenet classes=10; init stock").model.state_dict(), files / "google.safetensors")
    (said,) = told(
        f'base googlenet weights="{files}/google.safetensors"; data fake size=64 classes=10 images=8; batch 4; '
        "input mean=0.485 0.458 0.408 std=0.2 0.2 0.2"
    )
    assert "mean 0.5 0.5 0.5, not 0.485 0.458 0.408; std 0.5 0.5 0.5, not " in said


def test_weights_of_a_run_expect_what_a_run_feeds(files: Path) -> None:
    state = timm.create_model(VIT.removeprefix("timm:")).state_dict()
    save_file(state, files / "run.safetensors", {"digest": "0123456789abcdef"})
    assert told(f'base {VIT} weights="{files}/run.safetensors"; data folder "{files}/folder-0"; lr 1e-3') == []


def test_outputs_without_a_class_are_reported(files: Path) -> None:
    text = "base resnet18 classes=12; data fake size=32 classes=10 images=8; batch 4"
    assert told(text) == ["the model has 12 outputs, but the dataset has only 10 classes"]
    assert told(text.replace("classes=12", "classes=10")) == []


def test_an_init_over_loaded_weights_is_reported(files: Path) -> None:
    text = f'base resnet18 weights="{files}/r18.safetensors"; data fake size=32 classes=10 images=8; batch 4'
    assert told(text) == []
    assert told(f"{text}; init kaiming") == ["`init kaiming` has no effect: the weights that it sets are loaded"]
    assert told(f"{text.replace('classes=10', 'classes=4')}; init kaiming") == []  # it sets the last layer


@pytest.mark.parametrize(
    ("name", "said"), [("none", "do not exist on this machine"), ("folder-0", "are a folder without a run")]
)
def test_check_reports_weights_that_are_not_a_file(name: str, said: str, files: Path) -> None:
    found = command("check", f'base resnet18 weights="{files}/{name}"; data digits')
    assert (found.status, f"the weights `{files}/{name}` {said}" in found.stdout) == (0, True), found.stdout


def test_a_dry_run_downloads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()

    def answers(request: urllib.request.Request, timeout: float) -> io.BytesIO:
        assert timeout <= 10
        asked.append(f"{request.get_method()} {request.full_url}")
        return io.BytesIO()

    def downloaded(*_: object, **__: object) -> dict[str, torch.Tensor]:
        return recipe.compile("base squeezenet1_1 classes=1000; init stock").model.state_dict()

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(WeightsEnum, "get_state_dict", downloaded)
    monkeypatch.setattr(urllib.request, "urlopen", answers)
    text = "base squeezenet1_1 weights=DEFAULT; data fake size=32 classes=10 images=8; batch 4; epochs 1; lr 1e-4"
    said = (
        "weights: not loaded, since a run downloads them first: https://download.pytorch.org/models/squeezenet1_1-b8a5"
    )
    assert said in command("run", text, "--dry-run", "--device", "cpu").stderr
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth").touch()
    assert "not loaded, since" not in command("run", text, "--dry-run", "--device", "cpu").stderr
    assert asked == ["HEAD https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"]


def test_a_dry_run_reports_weights_that_can_t_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", fails)
    text = "base squeezenet1_1 weights=DEFAULT; data fake size=32 classes=10 images=8; batch 4; epochs 1; lr 1e-4"
    found = command("run", text, "--dry-run", "--device", "cpu")
    url = "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"
    assert found.status == 2
    assert f"can't be downloaded from {url}: no route to host" in found.stderr
    assert f"put it at `{tmp_path}/hub/checkpoints/squeezenet1_1-b8a52dc0.pth`, or name the file" in found.stderr
    for words in (["check", text], ["explain", text]):  # these never use the network
        assert command(*words).status == 0, words


@pytest.mark.parametrize("broken", ["missing", "not finite"])
def test_a_dry_run_loads_the_weights(broken: str, files: Path, tmp_path: Path) -> None:
    state = recipe.compile("base squeezenet1_1 classes=10; init stock").model.state_dict()
    state["features.0.bias"] = torch.full_like(state["features.0.bias"], torch.nan)
    if broken == "not finite":
        save_file(state, tmp_path / "w.safetensors")
    text = f'base squeezenet1_1 weights="{tmp_path}/w.safetensors"; data fake size=32 classes=10 images=8; batch 4'
    found = command("run", text, "--dry-run", "--device", "cpu")
    assert found.status == 2
    assert ("not finite" in found.stderr, "file not found" in found.stderr) == (
        broken == "not finite",
        broken == "missing",
    )


@trick("optimizer rprop", writes=("optimizer",))
class Rprop(Trick):
    """Update by the sign of the gradient."""

    def optimize(self, groups: list[dict[str, Any]], rate: float) -> torch.optim.Optimizer:
        return torch.optim.Rprop(groups, rate)


def test_weight_decay_that_the_optimizer_does_not_apply_is_reported() -> None:
    text = "base resnet18; data fake size=32 classes=4 images=8; batch 4; lr 1e-3; "
    words = vocabulary_with(Rprop)

    def told_of(more: str) -> list[str]:
        plan = bind(text + more, words=words)
        return [warning.message for warning in mismatches(recipe.compile(plan, device="meta"), open_sets(plan))]

    no_effect = "the weight decay of 0.01 has no effect: `optimizer rprop` has no option `weight_decay`"
    assert told_of("optimizer rprop; decay 0.01") == [no_effect]
    assert told_of("optimizer rprop; decay 0") == []


@pytest.mark.parametrize("name", ["sgd", "nag", "adamw", "lars"])
def test_each_optimizer_applies_weight_decay(name: str) -> None:
    plan = bind(f"base resnet18; data fake size=32 classes=4 images=8; optimizer {name}; decay 0.01; lr 1e-3")
    assert mismatches(recipe.compile(plan, device="meta"), open_sets(plan)) == ()
