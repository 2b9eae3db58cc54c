"""The command `export`, its errors, and the format `safetensors`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import attrs
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import shufflenet_v2_x0_5

import recipe
from recipe.base import files
from recipe.exporters import api, safetensors
from recipe.exporters.source_run import SourceRun
from recipe.inference.run import Run
from recipe.plugins.fingerprint import code_of
from recipe.testing import small
from tests.exporters.helpers import FAKE, images, off, onnx_logits, own_logits, train
from tests.helpers import command
from tests.training.helpers import TINY


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("runs") / "full-1a2b", text=f"base shufflenet_v2_x0_5; ema 0.9; {FAKE}")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_weights_are_exported_with_the_metadata_needed_to_use_them(run: Run, here: Path) -> None:
    done = command("export", run.folder, "--to", "safetensors")
    assert (done.status, done.stdout) == (0, "full-1a2b.safetensors\n")
    assert done.stderr == "verified: logits equal the run's\n"
    weights = load_file(here / "full-1a2b.safetensors")
    assert all(torch.equal(weights[name], tensor) for name, tensor in run.model.state_dict().items())
    shufflenet_v2_x0_5(num_classes=10).load_state_dict(weights)
    with safe_open(here / "full-1a2b.safetensors", framework="pt") as file:
        found = file.metadata()
    inputs = {"image_size", "mean", "std", "crop", "interpolation", "views", "orientation", "background"}
    assert found.keys() == {"digest", "recipe", "base", "classes", *inputs}
    assert (found["base"], found["image_size"], found["classes"]) == ("shufflenet_v2_x0_5", "32", "10")
    assert json.loads(found["mean"]) == pytest.approx([0.485, 0.458, 0.4076], abs=1e-3)
    assert recipe.compile(found["recipe"], device="meta").plan.digest == found["digest"] == run.summary["digest"]


def test_source_gets_a_name_that_python_can_import(run: Run, here: Path) -> None:
    done = command("export", run.folder, "--to", "python")
    assert (done.status, done.stdout) == (0, "full_1a2b.py\nfull_1a2b.weights.safetensors\n")
    assert sorted(path.name for path in here.iterdir()) == ["full_1a2b.py", "full_1a2b.weights.safetensors"]


@pytest.mark.parametrize(
    ("name", "module"),
    [("run", "run"), ("a b-c", "a_b_c"), ("1st", "model_1st"), ("class", "model_class"), ("torch", "model_torch")],
)
def test_module_names(name: str, module: str) -> None:
    assert api._default(Path(name), ".py") == Path(f"{module}.py")


@pytest.mark.parametrize("there", ["full_1a2b.py", "full_1a2b.weights.safetensors"])
def test_no_file_is_overwritten(run: Run, here: Path, there: str) -> None:
    (here / there).write_text("mine")
    done = command("export", run.folder, "--to", "python")
    assert (done.status, done.stdout) == (2, "")
    assert f"error[E111]: `{there}` already exists" in done.stderr
    assert (here / there).read_text() == "mine"
    assert len(list(here.iterdir())) == 1


@pytest.mark.parametrize(
    ("to", "out", "said"),
    [
        ("python", "x", "`x` is not a valid name for Python source"),
        ("python", "no/x.py", "`no/x.weights.safetensors` can't be written: no such file or directory"),
        ("safetensors", "no/x.safetensors", "`no/x.safetensors` can't be written: no such file or directory"),
        ("safetensors", ".", "`.` already exists"),
    ],
)
def test_a_path_that_cannot_be_written(run: Run, here: Path, to: str, out: str, said: str) -> None:
    done = command("export", run.folder, "--to", to, "--out", out)
    assert done.status == 2
    assert f"error[E111]: {said}" in done.stderr
    assert not list(here.iterdir())


def test_source_is_not_left_behind_without_its_weights(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = api.files.write

    def full(path: Path, fill: object) -> None:
        if path.suffix == ".py":
            raise recipe.RecipeError(recipe.Diagnostic("E111", "the disk is full"))
        write(path, fill)  # type: ignore[arg-type]

    monkeypatch.setattr(api.files, "write", full)
    assert command("export", run.folder, "--to", "python").status == 2
    assert not list(here.iterdir())


def test_an_export_with_different_logits_is_not_written(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(run: SourceRun, path: Path) -> Tensor:
        logits = safetensors.write(run, path)
        return logits + 1e-4 * logits.abs().max()

    monkeypatch.setattr(safetensors, "FORMAT", attrs.evolve(safetensors.FORMAT, write=wrong))
    done = command("export", run.folder, "--to", "safetensors")
    assert (done.status, done.stdout) == (2, "")
    assert "error[E122]: the logits of the export to safetensors are off by 1.0e-04 of their scale" in done.stderr
    assert not list(here.iterdir())


# ---- folders without a finished run


@pytest.fixture
def copied(run: Run, here: Path) -> Path:
    return Path(shutil.copytree(run.folder, here / "copied", ignore=shutil.ignore_patterns("checkpoints")))


def refused(folder: Path | str, code: str, said: str) -> None:
    done = command("export", folder, "--to", "python", "--out", "x.py")
    assert (done.status, done.stdout) == (2, "")
    assert f"error[{code}]: " in done.stderr
    assert said in done.stderr
    assert "= help: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("x.py").exists()
    assert not Path("x.safetensors").exists()


def test_no_folder(here: Path) -> None:
    refused("nowhere", "E120", "the folder `nowhere` does not exist")


def test_no_run(here: Path) -> None:
    refused(".", "E120", "`.` is not a run folder: it has no recipe.lock")


def test_a_run_that_has_not_finished(copied: Path) -> None:
    (copied / "summary.json").unlink()
    refused(copied, "E120", "has not finished: it has no complete summary.json")


@pytest.mark.parametrize("content", [None, b"", b"not weights at all"])
def test_weights_that_cannot_be_read(copied: Path, content: bytes | None) -> None:
    (copied / "model.safetensors").unlink()
    if content is not None:
        (copied / "model.safetensors").write_bytes(content)
    refused(copied, "E120", "model.safetensors` can't be read: ")


def test_weights_of_another_model(copied: Path, tmp_path: Path) -> None:
    other = train(tmp_path / "other", "base squeezenet1_1; epochs 1; lr 1e-4", text=TINY)
    shutil.copy(other.folder / "model.safetensors", copied / "model.safetensors")
    refused(copied, "E120", "model.safetensors` can't be read: ")


def test_a_modified_lock(copied: Path) -> None:
    lock = copied / "recipe.lock"
    lock.write_text(lock.read_text().replace("base shufflenet_v2_x0_5", "base shufflenet_v2_x1_0"))
    refused(copied, "E120", "has been edited since the run started")


def test_a_run_of_your_own_model(here: Path) -> None:
    text = "data fake size=32 classes=10 images=24; batch 8; epochs 1; lr 0.05"
    run = recipe.run(recipe.compile(text, base=shufflenet_v2_x0_5(num_classes=10)), out=here / "own", device="cpu")
    refused(run.folder, "E121", "trained a model of your own, which its recipe does not describe")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a model of one's own, whose recipe has an `init`."""
    text = "tweak D; init zero-gamma; data fake size=32 classes=10 images=8; batch 4; epochs 1; lr 0.05"
    return recipe.run(recipe.compile(text, base=small()), out=tmp_path_factory.mktemp("own") / "run", device="cpu")


def test_a_run_of_your_own_model_is_exported_with_the_model(own: Run, here: Path) -> None:
    with torch.no_grad():
        (model := small()).get_parameter("fc.weight").zero_()  # its weights don't matter
    recipe.export(own, to="safetensors", out="a.safetensors")
    recipe.export(own.folder, to="safetensors", out="b.safetensors", base=model)
    assert load_file("a.safetensors").keys() == own.model.state_dict().keys()
    for name, value in own.model.state_dict().items():
        assert value.equal(load_file("a.safetensors")[name])
        assert value.equal(load_file("b.safetensors")[name])
    with pytest.raises(recipe.RecipeError, match="is not the model of"):
        recipe.export(own.folder, to="safetensors", out="c.safetensors", base=small(7))


def test_a_run_of_your_own_model_is_exported_to_onnx(own: Run, here: Path) -> None:
    recipe.export(own, to="onnx", out="a.onnx")
    inputs = images(3, 3, 32, 32)
    assert off(onnx_logits(Path("a.onnx"), inputs), own_logits(own.model, inputs)) < 1e-5


def test_a_run_of_your_own_model_is_not_exported_as_source(own: Run, here: Path) -> None:
    with pytest.raises(recipe.RecipeError, match="it is a model of your own, whose constructor is unknown") as caught:
        recipe.export(own, to="python", out="a.py")
    (error,) = caught.value.diagnostics
    assert (error.code, error.help) == ("E121", "use `--to onnx` or `--to safetensors`, which support any graph")


def test_a_model_for_a_run_of_a_stock_model_is_refused(run: Run) -> None:
    with pytest.raises(recipe.RecipeError, match="but a model was passed as `base=`"):
        recipe.export(run.folder, to="safetensors", base=small())


def test_an_unknown_format(run: Run) -> None:
    done = command("export", run.folder, "--to", "tflite")
    assert (done.status, done.stdout) == (2, "")
    assert "error[E121]: unknown format `tflite`" in done.stderr
    assert "= help: use one of `onnx`, `python`, `safetensors`" in done.stderr
    with pytest.raises(recipe.RecipeError, match="unknown format `tflite`"):
        recipe.export(run.folder, to="tflite")


def test_an_export_that_is_interrupted_leaves_no_file(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights of Python source are written before the source."""
    write, begun = files.write, list[str]()

    def interrupted(path: Path, fill: object) -> None:
        write(path, fill)  # type: ignore[arg-type]
        begun.append(path.name)
        if len(begun) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(files, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        recipe.export(run.folder, to="python", out="model.py")
    assert begun == ["model.weights.safetensors", "model.py"]
    assert not list(here.iterdir())


def test_an_export_with_other_code_of_a_plugin_says_so(here: Path) -> None:
    """The weights fit, and yet the exported model may be another one than was trained."""
    plugin = here / "turn.py"
    plugin.write_text(
        '"""augment dim"""\nfrom recipe.api import Trick, trick\n\n@trick("augment dim", writes=("inputs",))\n'
        'class Dim(Trick):\n    """Darken the images."""\n\n    def augment(self, images, draws):\n'
        "        return images * 0.5\n"
    )
    words = ("--plugin", plugin)
    trained = command("run", f"{TINY}; augment dim", "--out", here / "run", "--device", "cpu", *words)
    assert trained.status == 0, trained.stderr
    done = command("export", here / "run", "--to", "safetensors", "--out", here / "a.safetensors", *words)
    assert (done.status, done.stderr) == (0, "verified: logits equal the run's\n")
    plugin.write_text(plugin.read_text().replace("0.5", "0.9"))
    code_of.cache_clear()
    done = command("export", here / "run", "--to", "safetensors", "--out", here / "b.safetensors", *words)
    assert done.status == 0
    assert "warning: the model may be another one than was trained: `augment dim` of " in done.stderr
    resumed = command("run", "--resume", here / "run", "--device", "cpu", *words)
    assert resumed.status == 2
    assert "error[E113]: this differs from the run in" in resumed.stderr
