"""A training starts from the weights of a run in its folder: those that it kept, or of its last checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import recipe
from recipe.base.errors import RecipeError
from recipe.inference.initial_weights import read_weights
from recipe.runs import checkpoints
from recipe.runs.state import TrainingState
from tests.helpers import command
from tests.training.helpers import TINY, train


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a finished run, one that was stopped, and one that was stopped with averaged weights."""
    root = tmp_path_factory.mktemp("runs")
    train(root / "finished")
    train(root / "averaging", "ema 0.5")
    for name, of in (("stopped", "finished"), ("averages", "averaging")):
        shutil.copytree(root / of, root / name)
        for file in ("summary.json", "model.safetensors"):
            (root / name / file).unlink()
    return root


def newest(folder: Path) -> TrainingState:
    packed, _ = checkpoints.read(folder / "checkpoints", set_aside=False)
    assert packed is not None
    return checkpoints.unpack(packed, torch.device("cpu"))


def compiled(path: Path) -> recipe.Program:
    return recipe.compile(f'base timm:test_resnet weights="{path}" classes=10')


def assert_same(program: recipe.Program, weights: dict[str, torch.Tensor]) -> None:
    found = program.model.state_dict()
    assert program.fit
    assert [*program.fit.loaded] == [*weights]
    assert all(torch.equal(found[name], value) for name, value in weights.items())


def test_a_finished_run(runs: Path) -> None:
    program = compiled(runs / "finished")
    assert_same(program, recipe.load(runs / "finished", device="cpu").model.state_dict())
    assert program.notes[0].startswith(f"weights: 92 of 92 tensors in `{runs / 'finished'}` fit and are loaded")


def test_a_run_is_shown_as_it_is_named_in_its_folder(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.parent)
    program = compiled(Path(runs.name, "finished"))
    assert program.notes[0].startswith(f"weights: 92 of 92 tensors in `{runs.name}/finished` fit and are loaded")


def test_a_stopped_run(runs: Path) -> None:
    program, state = compiled(runs / "stopped"), newest(runs / "stopped")
    assert state.average is None
    assert_same(program, state.model)
    assert program.fit
    assert program.fit.found == ("the weights of step 6, from a checkpoint of a run that was stopped, the last one",)
    program, state = compiled(runs / "averages"), newest(runs / "averages")
    assert state.average
    assert_same(program, state.average)
    assert program.fit
    assert program.fit.found == ("the averages of step 6, from a checkpoint of a run that was stopped, the last one",)


def test_a_checkpoint_of_a_run(runs: Path) -> None:
    """Of a file in its folder, too, the averages are the weights."""
    (saved,) = checkpoints.saved_in(runs / "averages" / "checkpoints")[-1:]
    program, state = compiled(saved), newest(runs / "averages")
    assert state.average
    assert_same(program, state.average)
    assert program.fit
    assert program.fit.found == ("from `average`, the average of `model`",)


def test_a_run_starts_from_another(runs: Path, tmp_path: Path) -> None:
    text = TINY.replace("test_resnet", f'test_resnet weights="{runs / "finished"}"')
    found = command("run", text, "--out", tmp_path / "next", "--device", "cpu")
    assert found.status == 0, found.stderr
    assert f"weights: 92 of 92 tensors in `{runs / 'finished'}` fit and are loaded" in found.stderr
    shutil.copytree(runs / "finished", tmp_path / "finished")
    text = text.replace(str(runs / "finished"), str(tmp_path / "finished"))
    for words in (["run", text, "--dry-run", "--device", "cpu"], ["explain", text]):
        found = command(*words)
        assert (found.status, "weights: 92 of 92 tensors" in found.stderr + found.stdout) == (0, True), found.stderr
    shutil.rmtree(tmp_path / "finished")
    for words in (["run", text, "--dry-run", "--device", "cpu"], ["explain", text], ["check", text]):
        found = command(*words)
        said = "do not exist on this machine" if words[0] == "check" else "file not found"
        assert (found.status, said in found.stderr + found.stdout) == (0 if words[0] == "check" else 2, True), words


@pytest.mark.parametrize("meta", [False, True])
def test_folders_without_weights_are_refused(runs: Path, tmp_path: Path, meta: bool) -> None:
    with pytest.raises(RecipeError, match=r"E001\]: `.*` is a folder without a run(?s:.*)name the folder of a run"):
        read_weights(str(tmp_path), meta=meta)
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(runs / "finished" / "recipe.lock", empty)
    with pytest.raises(RecipeError, match=r"E120.*has no checkpoint"):
        read_weights(str(empty), meta=meta)
    broken = shutil.copytree(runs / "finished", tmp_path / "broken")
    (broken / "summary.json").write_text("[]")
    with pytest.raises(RecipeError, match=r"E120.*summary.json` can't be read"):
        read_weights(str(broken), meta=meta)


def test_changed_weights_of_a_run_are_refused(runs: Path, tmp_path: Path) -> None:
    run = shutil.copytree(runs / "finished", tmp_path / "run")
    content = bytearray((run / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (run / "model.safetensors").write_bytes(content)
    with pytest.raises(RecipeError, match=r"E120.*does not have the digest that summary.json names"):
        assert compiled(run).model
