"""ONNX: its inputs and outputs, what it says of itself, and what happens without its packages."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

import recipe
from recipe.engine import Run
from recipe.formats import onnx as exporter
from tests.export.helpers import FAKE, SHORT, images, off, own_logits, train
from tests.helpers import command


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("runs") / "deep", text=f"base resnet18; tweak C D; {FAKE}")


def logits(path: Path, x: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(["logits"], {"images": x.numpy()})
    return torch.from_numpy(np.asarray(found))


def test_it_gives_the_run_s_logits_for_a_batch_of_any_size(run: Run, tmp_path: Path) -> None:
    done = recipe.export(run.folder, to="onnx", out=tmp_path / "x.onnx")
    assert done.difference is not None
    assert done.difference < 1e-5
    for count in (1, 2, 5):
        x = images(count, 3, 32, 32)
        assert off(logits(tmp_path / "x.onnx", x), own_logits(run.model, x)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        f"base mobilenet_v2; ema 0.9; {FAKE}",
        f"base timm:resnet18; tweak D; {FAKE}",
        f"base resnet50; tweak A; {FAKE}",
        f"base convnext_tiny; tweak stochastic-depth 0.3; {FAKE}",
        f"base resnext50_32x4d; tweak C D; {FAKE}",
        f"base resnet18; tweak se blurpool stochastic-depth; {FAKE}",
        f"base googlenet; data fake size=64 classes=10 images=8; {SHORT}",
    ],
)
def test_it_gives_the_logits_of_other_models(text: str, tmp_path: Path) -> None:
    run = train(tmp_path / "run", text=text)
    recipe.export(run.folder, to="onnx", out=tmp_path / "x.onnx")
    size = json.loads(next(p.value for p in onnx.load(tmp_path / "x.onnx").metadata_props if p.key == "image_size"))
    x = images(3, 3, size, size)
    assert off(logits(tmp_path / "x.onnx", x), own_logits(run.model, x)) < 1e-5


def test_it_says_what_it_is_and_nothing_of_this_machine(run: Run, tmp_path: Path) -> None:
    recipe.export(run.folder, to="onnx", out=tmp_path / "x.onnx")
    model = onnx.load(tmp_path / "x.onnx")
    (given,), (result,) = model.graph.input, model.graph.output
    shapes = [[d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim] for value in (given, result)]
    assert (given.name, result.name) == ("images", "logits")
    assert shapes == [["N", 3, 32, 32], ["N", 10]]
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert found["base"] == "resnet18"
    assert found["digest"] == run.summary["digest"]
    assert recipe.compile(found["recipe"], device="meta").plan.digest == run.summary["digest"]
    assert b"site-packages" not in (tmp_path / "x.onnx").read_bytes()
    assert str(Path(recipe.__file__).parent).encode() not in (tmp_path / "x.onnx").read_bytes()


def without(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(exporter, "find_spec", lambda name: None if name == missing else found(name))


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_a_missing_package_is_told_with_its_extra(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    without(monkeypatch, missing)
    done = command("export", run.folder, "--to", "onnx", "--out", tmp_path / "x.onnx")
    assert (done.status, done.stdout) == (2, "")
    assert f"error[E121]: an export to ONNX needs the package `{missing}`" in done.stderr
    assert "recipe-compiler[onnx]" in done.stderr
    assert not list(tmp_path.iterdir())


def test_without_onnxruntime_it_is_not_verified_and_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "onnxruntime")
    done = command("export", run.folder, "--to", "onnx", "--out", tmp_path / "x.onnx")
    assert (done.status, done.stdout) == (0, f"{tmp_path / 'x.onnx'}\n")
    assert done.stderr == "not verified: onnxruntime is not installed\n"


def test_what_torch_cannot_export_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("no such operator\nand more")

    monkeypatch.setattr(torch.onnx, "export", broken)
    with pytest.raises(recipe.RecipeError, match=r"E121.*torch can't export `resnet18` to ONNX: no such operator\n"):
        recipe.export(run.folder, to="onnx", out=tmp_path / "x.onnx")
