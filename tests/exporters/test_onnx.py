"""ONNX exports: inputs, outputs and metadata, and errors if its packages are missing."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import onnx
import pytest
import torch

import recipe
from recipe.exporters import onnx as exporter
from recipe.inference.run import Run
from recipe.plugins import offers
from tests.exporters.helpers import FAKE, images, off, onnx_logits, own_logits, train
from tests.helpers import command


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("runs") / "deep", text=f"base resnet18; tweak C D; {FAKE}")


def test_it_reproduces_the_logits_of_the_run_for_any_batch_size(run: Run, tmp_path: Path) -> None:
    done = recipe.export(run.folder, to="onnx", out=tmp_path / "x.onnx")
    assert done.difference is not None
    assert done.difference < 1e-5
    for count in (1, 2, 5):
        x = images(count, 3, 32, 32)
        assert off(onnx_logits(tmp_path / "x.onnx", x), own_logits(run.model, x)) < 1e-5


def test_its_metadata_describes_the_model_and_not_the_machine(run: Run, tmp_path: Path) -> None:
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
    for module in (exporter, offers):
        monkeypatch.setattr(module, "find_spec", lambda name: None if name == missing else find_spec(name))


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_a_missing_package_is_reported_with_its_extra(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    without(monkeypatch, missing)
    done = command("export", run.folder, "--to", "onnx", "--out", tmp_path / "x.onnx")
    assert (done.status, done.stdout) == (2, "")
    assert f"error[E121]: exporting to ONNX requires the package `{missing}`" in done.stderr
    assert "`pip install '.[onnx]'` in the clone of recipe, or `pip install 'recipe-compiler[onnx]'`" in done.stderr
    assert not list(tmp_path.iterdir())


def test_without_onnxruntime_it_is_reported_as_not_verified(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "onnxruntime")
    done = command("export", run.folder, "--to", "onnx", "--out", tmp_path / "x.onnx")
    assert (done.status, done.stdout) == (0, f"{tmp_path / 'x.onnx'}\n")
    assert done.stderr == "not verified: onnxruntime is not installed; `pip install onnxruntime`\n"


def test_a_model_that_torch_cannot_export_is_reported(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("no such operator\nand more")

    monkeypatch.setattr(torch.onnx, "export", broken)
    with pytest.raises(recipe.RecipeError, match=r"E121.*torch can't export `resnet18` to ONNX: no such operator\n"):
        recipe.export(run.folder, to="onnx", out=tmp_path / "x.onnx")
