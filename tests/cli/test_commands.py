"""Commands that need torch, as users type them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import command
from tests.training.helpers import TINY


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder and return it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_packages_of_a_run_that_are_not_installed_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.lock").write_text("base resnet18\nshine 3\n")
    (folder / "environment.json").write_text('{"packages": {"torch": "2.11", "recipe-shine": "1.2"}}')
    for words in (["explain", folder], ["run", f"--resume={folder}"], ["export", folder, "--to", "onnx"]):
        found = command(*words)
        assert found.status == 2
        assert f"warning: the run in `{folder}` used packages that are not installed: recipe-shine 1.2" in found.stderr


def test_run_reports_substitutions_and_its_folder(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "recipe", "run", TINY, "epochs 1; precision fp16", "--device", "cpu"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0
    assert "precision fp16 runs as" in done.stderr
    assert "epoch 1/1: training loss " in done.stderr
    assert done.stdout.startswith("top-1 ")
    (folder,) = (tmp_path / "runs").iterdir()
    assert f"folder runs/{folder.name}" in done.stdout
    assert json.loads((folder / "summary.json").read_text())["status"] == "finished"


def test_strict_refuses_a_substitution_before_anything_is_written(here: Path) -> None:
    done = command("run", TINY, "precision fp16", "--strict", "--device", "cpu")
    assert done.status == 2
    assert done.stderr.startswith("error[E110]: `precision fp16` is unavailable on `cpu`")
    assert not list(here.iterdir())


def test_a_dry_run_compiles_and_writes_nothing(here: Path) -> None:
    done = command("run", "full", "--dry-run", "--device", "cpu")
    assert done.status == 0
    assert "tweak D: 3 sites" in done.stderr
    assert "1442 training images, 355 held out; 16 epochs of 23 steps on cpu; nothing was trained" in done.stderr
    assert not list(here.iterdir())


def test_a_dry_run_refuses_a_teacher_that_a_run_refuses(here: Path) -> None:
    Path("teacher.recipe").write_text("base resnet18; data fake size=32 classes=7 images=24\n")
    text = 'base resnet18; data fake size=32 classes=10 images=24; loss distill "teacher.recipe"'
    done, dry = command("run", text, "--device", "cpu"), command("run", text, "--dry-run", "--device", "cpu")
    assert done.status == dry.status == 2
    assert "E072" in done.stderr
    assert dry.stderr == done.stderr
    assert [path.name for path in here.iterdir()] == ["teacher.recipe"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("base resnet18; tweak A B", "E030"),
        ("base mobilenet_v2; tweak C", "E101"),
        ("base inception_v3; data digits size=32", "E103"),
        ('base resnet18; data folder "nowhere"', "E070"),
        ("base resnet18 classes=5", "E071"),
        ("base module", "E102"),
        ("base timm:no_such_model", "E102"),
    ],
)
def test_recipes_that_cannot_be_trained_end_with_one_error(here: Path, text: str, code: str) -> None:
    done = command("run", text, "--device", "cpu")
    assert done.status == 2
    assert command("run", text, "--dry-run", "--device", "cpu").stderr == done.stderr
    assert f"error[{code}]" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(here.iterdir())


@pytest.mark.usefixtures("here")
def test_a_diverging_run_ends_with_status_3() -> None:
    done = command("run", TINY, "lr 1000; epochs 30; init stock", "--device", "cpu")
    assert done.status == 3
    assert "error[E112]" in done.stderr


def test_explain_shows_plan_edits_parameters_costs_and_training() -> None:
    done = command("explain", "full", "--device", "cpu")
    assert done.status == 0
    for words in (
        "tweak D: 3 sites",
        "layer2.0.downsample.0: stride 2×2 → 1×1",
        "full:8:7",
        "overall  23,547,754  88,322,048",
        "weight_decay 0.0001",
        "dropped",
    ):
        assert words in done.stdout


def test_explain_as_json() -> None:
    done = command("explain", "base resnet50; tweak C D; data fake size=224", "--json", "--device", "cpu")
    found = json.loads(done.stdout)
    assert found["schema_version"] == 1
    assert found["sites"]["tweak D"] == 3
    assert found["costs"]["total"]["macs"] == 4328824832
    assert {"trick": "tweak D", "kind": "SetAttribute", "address": "layer2.0.downsample.0"}.items() <= found["edits"][
        2
    ].items()


def test_doctor_prints_versions_plugins_and_speed() -> None:
    done = command("doctor")
    assert done.status == 0
    assert "torch " in done.stdout
    assert "tricks of recipe-compiler: " in done.stdout
    assert "GFLOP/s" in done.stdout
