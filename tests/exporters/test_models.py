"""Exports of many kinds of models reproduce the run's logits, even as source without recipe installed.

RECIPE_TEST_MORE=3 tests all of them, not only a sample.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from safetensors import safe_open

import recipe
from tests.exporters.helpers import FAKE, SHORT, Lonely, images, off, onnx_logits, own_logits, train
from tests.helpers import ROOT, sample

pytestmark = pytest.mark.xdist_group("exported models")
SMALL = f"data fake size=64 classes=10 images=8; {SHORT}"
MODELS = {
    f"base shufflenet_v2_x0_5; {FAKE}": ("python",),
    f"base timm:resnet18; tweak D; {FAKE}": ("python",),
    f"base mobilenet_v2; ema 0.9; {FAKE}": ("python", "onnx"),
    f"base resnet50; tweak A; {FAKE}": ("python",),
    f"base resnext50_32x4d; tweak C D; init zero-gamma; {FAKE}": ("python", "onnx"),
    f"base resnet18; ema 0.9; tweak se blurpool stochastic-depth; {FAKE}": ("python", "onnx"),
    f"base timm:resnet50d; tweak D se blurpool stochastic-depth; {FAKE}": ("python",),
    f"base convnext_tiny; tweak stochastic-depth 0.3; decay no-bias norms=decay; {FAKE}": ("python", "onnx"),
    f"base googlenet; {SMALL}": ("python", "onnx"),
}
"""The recipes, and the formats that each is exported to."""
QUICK = [*MODELS][:2]


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lonely]:
    process = Lonely(tmp_path_factory.mktemp("elsewhere"))
    yield process
    process.end()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=text.partition("; data")[0], marks=[pytest.mark.slow] * (text not in QUICK))
        for text in (*QUICK, *sample([*MODELS][len(QUICK) :], 3))
    ],
)
def test_an_export_reproduces_the_logits_of_the_run(tmp_path: Path, text: str, lonely: Lonely) -> None:
    run = train(tmp_path / "a run-1", text=text)
    side = 64 if SMALL in text else 32
    x = images(3, 3, side, side)
    expected = own_logits(run.model, x)
    script, weights = tmp_path / "a_run_1.py", tmp_path / "a_run_1.weights.safetensors"
    done = recipe.export(run.folder, to="python", out=script)
    assert done.paths == (script, weights)
    assert done.difference is not None
    assert done.difference < 1e-5
    assert off(lonely.logits(script, x), expected) < 1e-5
    with safe_open(weights, framework="pt") as file:
        assert file.metadata()["digest"] == run.summary["digest"]
    for check in (["check"], ["format", "--check"]):
        call = [sys.executable, "-m", "ruff", *check, "--config", str(ROOT / "pyproject.toml"), str(script)]
        assert subprocess.run(call, capture_output=True, text=True).returncode == 0
    if "onnx" in MODELS[text]:
        recipe.export(run.folder, to="onnx", out=tmp_path / "x.onnx")
        about = {entry.key: entry.value for entry in onnx.load(tmp_path / "x.onnx").metadata_props}
        assert json.loads(about["image_size"]) == side
        assert off(onnx_logits(tmp_path / "x.onnx", x), expected) < 1e-5
