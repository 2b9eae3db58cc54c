"""Weights of a run or an export are met with the classes and the inputs that they were trained on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import recipe
from recipe.base.errors import RecipeError
from recipe.base.identity import file_digest
from recipe.compiler.program import Program
from recipe.exporters.api import export
from recipe.inference.initial_weights import read_weights, weights_about
from recipe.runs import checkpoints
from recipe.runs.trained_on import recorded_inputs, trained_on
from recipe.training.setup import named_files, prepare
from tests.helpers import bind, command
from tests.training.helpers import train

MODEL = "shufflenet_v2_x0_5"
HEAD = ("fc.weight", "fc.bias")


def paint(folder: Path, *names: str) -> Path:
    """Write four images of each class to each part of a folder: noise, because training on plain colors may diverge."""
    for part in ("train", "val"):
        for shade, name in enumerate(names):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for number in range(4):
                noise = np.random.default_rng([shade, number]).integers(0, 60, (40, 40, 3))
                Image.fromarray((noise + 60 * shade).astype(np.uint8)).save(folder / part / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run on the classes of `pets`, its export, and images of other classes."""
    root = tmp_path_factory.mktemp("root")
    text = (
        f'base {MODEL}; data folder "{paint(root / "pets", "ant", "bee", "cat")}" size=32 workers=0; batch 6; epochs 1'
    )
    train(root / "run", text=f"{text}; lr 0.01; precision fp32")
    export(root / "run", to="safetensors", out=root / "pets.safetensors")
    paint(root / "others", "0cat", "ant", "bee")
    return root


@pytest.fixture(scope="module")
def stopped(root: Path) -> Path:
    """Return the folder of the run as it is if it stops before its end."""
    shutil.copytree(root / "run", root / "stopped")
    for name in ("summary.json", "model.safetensors"):
        (root / "stopped" / name).unlink()
    return root / "stopped"


@pytest.fixture(params=["run/model.safetensors", "stopped", "pets.safetensors", "link.safetensors"])
def weights(request: pytest.FixtureRequest, root: Path, stopped: Path) -> Path:
    if request.param.startswith("link") and not (root / request.param).exists():
        (root / request.param).symlink_to(root / "run" / "model.safetensors")
    return root / request.param


def text_for(weights: Path, images: Path, size: int = 32) -> str:
    return f'base {MODEL} weights="{weights}"; data folder "{images}" size={size} workers=0; batch 6; epochs 1; lr 0.01'


def prepared(weights: Path, images: Path, size: int = 32, more: str = "") -> tuple[Program, list[str]]:
    _, program = prepare(bind(f"{text_for(weights, images, size)}; {more}"))
    return program, [warning.message for warning in program.warnings]


def test_weights_of_other_classes_do_not_set_the_last_layer(root: Path, weights: Path) -> None:
    program, told = prepared(weights, root / "others")
    said = "was trained on other classes than those of the images: `cat` is missing and `0cat` is new"
    assert told == [f"`{weights}` {said}; a run does not load `fc`"]
    assert program.fit
    assert program.fit.fresh == dict.fromkeys(HEAD, "the weights are of other classes")
    given, found = read_weights(str(weights)), program.model.state_dict()
    assert {name for name in given if not torch.equal(given[name], found[name])} == {*HEAD}
    explained = command("explain", text_for(weights, root / "others"))
    assert f"{said}; a run does not load `fc`" in " ".join(explained.stdout.split())
    assert "2 tensors of the model not loaded: `fc.weight`" in " ".join(explained.stdout.split())
    data = json.loads(command("explain", "--json", text_for(weights, root / "others")).stdout)
    assert data["weights"]["fresh"] == program.fit.fresh
    assert {data["parameters"][name] for name in HEAD} == {program.fates[name] for name in HEAD} == {"reinitialised"}


def test_weights_of_the_same_classes_set_every_layer(root: Path, weights: Path) -> None:
    program, told = prepared(weights, root / "pets")
    assert told == []
    assert program.fit
    assert not program.fit.fresh


def test_weights_of_unknown_classes_set_what_fits(root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "run" / "model.safetensors", tmp_path)
    save_file(load_file(root / "pets.safetensors"), tmp_path / "bare.safetensors")
    for name in ("model.safetensors", "bare.safetensors"):
        program, told = prepared(tmp_path / name, root / "others")
        assert told == []
        assert program.fit
        assert not program.fit.fresh


def test_a_program_with_a_last_layer_of_other_classes_is_refused(root: Path, weights: Path, tmp_path: Path) -> None:
    program = recipe.compile(text_for(weights, root / "others"))
    with pytest.raises(RecipeError, match=r"E071.*the weights of `fc` are of other classes than those of the images"):
        recipe.run(program, out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_the_classes_of_every_form_of_a_run_are_known(root: Path, stopped: Path) -> None:
    (saved,) = checkpoints.saved_in(stopped / "checkpoints")[-1:]
    for path in (root / "run", root / "run" / "model.safetensors", stopped, saved):
        known = trained_on(str(path), weights_about(str(path)))
        assert known is not None, path
        assert (known.classes, known.inputs.size) == (("ant", "bee", "cat"), 32)
        assert recorded_inputs(str(path)) == known.inputs, path


def test_the_file_behind_the_folder_of_a_run_is_part_of_the_data(root: Path, stopped: Path) -> None:
    """So a run whose initial weights have changed doesn't resume unless asked to."""
    (saved,) = checkpoints.saved_in(stopped / "checkpoints")[-1:]
    for folder, file in ((root / "run", root / "run" / "model.safetensors"), (stopped, saved)):
        assert named_files(bind(text_for(folder, root / "pets"))) == {"base weights": file_digest(file)}


def test_other_inputs_than_those_of_the_training_are_reported(root: Path, tmp_path: Path, weights: Path) -> None:
    assert prepared(weights, root / "pets", size=64)[1] == [
        f"`{weights}` was trained on other inputs than this run feeds it: size 32, not 64"
    ]
    with safe_open(root / "pets.safetensors", framework="pt") as file:
        header = file.metadata()
    dark = tmp_path / "dark.safetensors"
    save_file(load_file(root / "pets.safetensors"), dark, {**header, "mean": json.dumps([0.3, 0.3, 0.3])})
    assert prepared(dark, root / "pets")[1] == []
    (said,) = prepared(dark, root / "pets", more="input mean=0.5 0.5 0.5")[1]
    assert said.endswith("mean 0.3 0.3 0.3, not 0.5 0.5 0.5")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mean": "[0.1, 0.2"}, "is not JSON"),
        ({"std": "[0.1, 0.2, 0]"}, "does not fit"),
        ({"class_names": '["a", 3]'}, "has a wrong `names`"),
        ({"class_names": '["a", "b"]'}, "names 2 of 3 classes"),
        ({"image_size": "-3"}, "does not fit"),
    ],
)
def test_a_damaged_header_of_an_export_is_reported(
    root: Path, tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    with safe_open(root / "pets.safetensors", framework="pt") as file:
        header = file.metadata()
    save_file(load_file(root / "pets.safetensors"), tmp_path / "x.safetensors", {**header, **changed})
    with pytest.raises(RecipeError, match=f"E001.*the header of `.*x.safetensors` {said}"):
        prepared(tmp_path / "x.safetensors", root / "pets")
