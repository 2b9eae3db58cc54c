"""`recipe.load`: a run folder is all that is needed to use its model."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

import recipe
from recipe.base.errors import RecipeError
from recipe.base.signals import Interrupted
from recipe.data.appearance import AS_STORED
from recipe.inference.run import Run
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs import checkpoints
from recipe.runs.reader import environment_of
from recipe.training.reporting import Listener
from tests.helpers import command
from tests.inference.helpers import photos, recipe_of
from tests.training.helpers import TINY, train


def test_a_run_is_opened_with_the_bits_it_was_trained_to(trained: Run, data: Path) -> None:
    opened = recipe.load(trained.folder, device="cpu")
    assert all(map(torch.equal, trained.model.state_dict().values(), opened.model.state_dict().values()))
    assert opened.summary == trained.summary
    assert (opened.status, opened.note) == ("finished", "")
    assert opened.classes.names == ("blue", "green", "red")
    images = sorted((data / "val").rglob("*.png"))
    assert opened.predict(images) == trained.predict(images)


def test_neither_the_data_nor_the_first_folder_is_needed(alone: Run, data: Path) -> None:
    images = sorted((data / "val" / "green").glob("*.png"))
    assert [one.label for one in alone.predict(images)] == ["green"] * len(images)


def test_the_weights_and_the_teacher_that_a_lock_names_may_be_gone(tmp_path: Path) -> None:
    first = train(tmp_path / "first")
    shutil.copy(first.folder / "model.safetensors", weights := tmp_path / "start.safetensors")
    (teacher := tmp_path / "teacher.recipe").write_text(TINY)
    base, rest = TINY.split(";", 1)
    run = recipe.run(
        f'{base} weights="{weights}";{rest}; loss distill "{teacher}"', out=tmp_path / "runs" / "student", device="cpu"
    )
    for gone in (weights, teacher):
        gone.unlink()
    shutil.rmtree(tmp_path / "first")
    opened = recipe.load(run.folder, device="cpu")
    pixels = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    assert opened.predict(pixels) == run.predict(pixels)


class _Stop(Listener):
    """Stops a training after a step, as Ctrl-C does."""

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        if step == 4:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_stopped_run_is_opened_from_its_last_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(tmp_path / "run", "ema 0.5", listener=_Stop())
    opened = recipe.load(tmp_path / "run", device="cpu")
    assert opened.status == "stopped"
    assert opened.summary["steps"] == 4
    assert opened.summary["top1"] == opened.metrics[3]["top1"]  # of the first epoch
    assert "its last checkpoint is used, of step 4 (epoch 1.333 of 2)" in opened.note
    packed, _ = checkpoints.read(tmp_path / "run" / "checkpoints")
    assert packed is not None
    state = checkpoints.unpack(packed, torch.device("cpu"))
    assert state.average is not None
    assert all(torch.equal(state.average[name], tensor) for name, tensor in opened.model.state_dict().items())
    done = command("export", tmp_path / "run", "--to", "safetensors", "--out", tmp_path / "stopped.safetensors")
    assert done.status == 0
    assert "warning: the run was stopped" in done.stderr


def test_a_run_without_a_checkpoint_says_how_to_resume_it(tmp_path: Path) -> None:
    run = train(tmp_path / "run")
    (run.folder / "summary.json").unlink()
    shutil.rmtree(run.folder / "checkpoints")
    with pytest.raises(RecipeError, match=r"E120.*has no checkpoint(?s:.*)recipe\.run\(.*, resume=True\)"):
        recipe.load(run.folder)


def test_a_model_of_ones_own_is_passed_again(tmp_path: Path) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.conv(x).mean((2, 3)))

    text = TINY.partition("; ")[2]
    run = recipe.run(recipe.compile(text, base=Own()), out=tmp_path / "run", device="cpu")
    with pytest.raises(RecipeError, match=r"E121.*a model of your own(?s:.*)base=model"):
        recipe.load(run.folder)
    opened = recipe.load(run.folder, device="cpu", base=Own())
    assert all(map(torch.equal, run.model.state_dict().values(), opened.model.state_dict().values()))


def test_a_run_with_another_summary_is_refused(tmp_path: Path, trained: Run) -> None:
    run = train(tmp_path / "run")
    shutil.copy(trained.folder / "summary.json", run.folder)
    with pytest.raises(RecipeError, match=r"E120.*belongs to a different recipe"):
        recipe.load(run.folder)


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_is_not_a_run_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecipeError, match="E120"):
        recipe.load(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        ("plan-v1", "an earlier release made this run without recording its images: they may have changed"),
        ("plan-v2", ""),
    ],
)
def test_a_run_of_an_earlier_release_is_used_as_it_is(name: str, lacks: str) -> None:
    opened = recipe.load(Path(__file__).parents[1] / "goldens" / "runs" / name, device="cpu")
    assert ("without recording its classes" in opened.note) == bool(lacks)
    figures = opened.evaluate()
    assert figures.top1 == pytest.approx(opened.summary["top1"])
    assert (lacks in figures.notes) == bool(lacks)
    assert opened.classes.count == 10


def test_a_run_of_images_as_they_are_stored_is_used_as_it_is() -> None:
    """Its images have EXIF orientations and transparency, which were ignored when it was trained."""
    goldens = Path(__file__).parents[1] / "goldens"
    opened = recipe.load(goldens / "runs" / "images-v3", device="cpu")
    assert opened.preprocessing.appearance == AS_STORED
    names = ("day/0.png", "day/2.jpg", "night/1.png")
    found = [each.probabilities[0] for each in opened.predict([goldens / "images" / "val" / name for name in names])]
    assert found == pytest.approx([0.66358, 0.71207, 0.53745], abs=1e-4)
    data = f'data folder "{goldens / "images"}"'
    figures = opened.evaluate(data)
    assert (figures.top1, figures.loss) == pytest.approx((0.5, 0.56424), abs=1e-4)
    assert sum("which is ignored" in note for note in figures.data_notes) == 2
    with pytest.raises(RecipeError, match=r"E129.*was trained on `orientation=stored`, not `orientation=exif`"):
        opened.evaluate(f"{data} orientation=exif")
    plan = recipe.compile(opened.folder / "recipe.lock", device="meta").plan
    assert plan.digest == opened.digest == "dc53c1ddc1367186"
    assert plan.images is not None
    assert plan.images.origin_of(next(field for field in plan.images.fields if field.name == "orientation")) == (
        "as before the field existed"
    )


PLUGIN = """
from recipe.api import Trick, trick

@trick("augment still", writes=("inputs",))
class Still(Trick):
    '''Leave images as they are.'''

    def augment(self, images, draws):
        return images
"""


def test_a_run_made_with_a_plugin_says_which(tmp_path: Path, data: Path) -> None:
    (plugin := tmp_path / "still.py").write_text(PLUGIN)
    words = Vocabulary.installed([plugin])
    text = f"{recipe_of(data, epochs=1)}; augment still"
    run = recipe.run(text, out=tmp_path / "run", device="cpu", plugins=words)
    assert f'# plugin "{plugin}" augment still' in (run.folder / "recipe.lock").read_text().split("\n")
    with pytest.raises(RecipeError, match=rf"E021(?s:.*)the run used `augment still` of the file `{plugin}`: name it"):
        recipe.load(run.folder)
    assert recipe.load(run.folder, plugins=words).note == ""
    recipe.export(run, to="safetensors", out=tmp_path / "a.safetensors")  # a run knows its plugins
    done = command("explain", run.folder)
    assert done.status == 2
    assert "name it with --plugin" in done.stderr
    made = environment_of(run.folder)
    assert made is not None
    assert made.plugins[0].source == PLUGIN


def test_a_copy_of_a_run_needs_none_of_its_data(tmp_path: Path) -> None:
    photos(tmp_path / "photos", train=4, val=2)
    run = recipe.run(recipe_of(tmp_path / "photos", epochs=1), out=tmp_path / "run", device="cpu")
    before = run.predict(torch.full((1, 3, 40, 50), 90, dtype=torch.uint8))
    shutil.copytree(run.folder, tmp_path / "elsewhere" / "copy")
    shutil.rmtree(tmp_path / "photos")
    shutil.rmtree(run.folder)
    opened = recipe.load(tmp_path / "elsewhere" / "copy", device="cpu")
    assert opened.predict(torch.full((1, 3, 40, 50), 90, dtype=torch.uint8)) == before


@pytest.mark.parametrize("content", [b"", b"[]", b'{"status": "finished"}'])
def test_a_finished_run_with_a_damaged_summary_is_not_taken_for_a_stopped_one(tmp_path: Path, content: bytes) -> None:
    run = train(tmp_path / "run")
    (run.folder / "summary.json").write_bytes(content)
    with pytest.raises(RecipeError, match=r"E120.*summary\.json` can't be read(?s:.*)recipe\.run\(.*, resume=True\)"):
        recipe.load(run.folder)


def test_a_damaged_last_checkpoint_of_a_stopped_run_is_reported(tmp_path: Path) -> None:
    run = train(tmp_path / "run")
    (run.folder / "summary.json").unlink()
    first, last = sorted((run.folder / "checkpoints").iterdir())
    last.write_bytes(last.read_bytes()[:2000])
    note = recipe.load(run.folder, device="cpu").note
    assert f"is used instead of `{last.name}`, which can't be read" in note
    assert last.is_file()  # nothing is renamed by reading
    first.write_bytes(b"")
    with pytest.raises(recipe.RecipeError, match="none of its checkpoints can be read"):
        recipe.load(run.folder, device="cpu")
