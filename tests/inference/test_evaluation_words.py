"""`evaluation` reaches the evaluation of a training, `recipe evaluate`, predictions and the run folder alike."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

import recipe
from recipe.base.errors import RecipeError
from recipe.data.images import Files
from recipe.devices.distributed import Ranks
from recipe.inference.datasets import open_sets
from recipe.inference.run import Run
from recipe.runs.trained_on import recorded_inputs
from recipe.training.feeding import training_images
from tests.helpers import bind, command
from tests.inference.helpers import photos

WORDS = "input mean=0.4 0.5 0.6 std=0.25 0.25 0.5 interpolation=bicubic; evaluation size=40 crop=80% views=ten-crop"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos(tmp_path_factory.mktemp("photos"), train=4, val=3)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    text = f'base timm:test_resnet; data folder "{data}" size=32 workers=0; batch 4; epochs 2; lr 1e-3; {WORDS}'
    return recipe.run(text, out=tmp_path_factory.mktemp("run") / "run", device="cpu")


def by_hand(run: Run, path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the mean probabilities of ten views, each cut out of an image that is resized with Pillow."""
    with Image.open(path) as image:
        width, height = image.size
        side = min(image.size) * 0.8
        corners = [(x * (width - side), y * (height - side)) for x, y in ((0.5, 0.5), (0, 0), (1, 0), (0, 1), (1, 1))]
        boxes = [(x, y, x + side, y + side) for x, y in corners]
        crops = [image.resize((40, 40), Image.Resampling.BICUBIC, box=box) for box in boxes]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.4, 0.5, 0.6), (0.25, 0.25, 0.5)))
    inputs = [(torch.from_numpy(np.array(crop)).permute(2, 0, 1) / 255 - mean) / std for crop in crops]
    with torch.no_grad():
        each = [run.model(one[None])[0].double().softmax(0).numpy() for view in inputs for one in (view, view.flip(2))]
    return np.mean(each, 0)  # type: ignore[no-any-return]


def test_predictions_and_evaluations_are_the_mean_of_the_views(run: Run, data: Path) -> None:
    figures = run.evaluate()
    for name, logits in zip(figures.images, figures.logits, strict=True):
        expected = by_hand(run, Path(name))
        assert np.abs(torch.from_numpy(logits).softmax(0).numpy() - expected).max() < 1e-5
        prediction = run.predict(name)[0]
        assert np.abs(np.array(prediction.probabilities) - np.sort(expected)[::-1]).max() < 1e-5
    assert figures.top1 == pytest.approx(run.summary["top1"])
    assert figures.loss == pytest.approx(run.summary["loss"], rel=1e-4)
    memory = run.predict([Image.open(name) for name in figures.images], workers=0)
    assert [one.probabilities for one in memory] == [one.probabilities for one in run.predict(figures.images)]
    assert run.preprocess(figures.images[0]).shape == (5, 3, 40, 40)


def test_a_loaded_run_is_the_same(run: Run) -> None:
    loaded = recipe.load(run.folder, device="cpu")
    assert loaded.preprocessing == run.preprocessing
    assert np.array_equal(loaded.evaluate().logits, run.evaluate().logits)


def test_the_folder_states_them(run: Run) -> None:
    stated = json.loads((run.folder / "preprocessing.json").read_text())
    assert (stated["size"], stated["crop"], stated["interpolation"]) == (40, 0.8, "bicubic")
    assert (stated["views"], stated["mean"], stated["schema_version"]) == ("ten-crop", [0.4, 0.5, 0.6], 4)
    assert (stated["orientation"], stated["background"]) == ("exif", "white")
    assert (stated["training_size"], stated["training_interpolation"]) == (32, "bicubic")
    inputs = recorded_inputs(str(run.folder))
    assert inputs == recorded_inputs(str(run.folder / "model.safetensors"))
    assert inputs is not None
    assert (inputs.size, inputs.evaluation_size) == (32, 40)
    assert (inputs.crop, inputs.std, inputs.interpolation) == (0.8, (0.25, 0.25, 0.5), "bicubic")


def test_weights_of_a_run_suggest_its_inputs(run: Run, data: Path) -> None:
    weights = run.folder / "model.safetensors"
    plan = recipe.compile(f'base timm:test_resnet weights="{weights}"; data folder "{data}"', device="meta").plan
    assert plan.training.mean == (0.4, 0.5, 0.6)
    assert (plan.training.evaluation_crop, plan.training.interpolation) == (0.8, "bicubic")
    assert plan.image_fields is not None
    assert (plan.image_fields.size, plan.training.evaluation_size) == (32, 40)


@pytest.mark.parametrize(
    "words", ["evaluation crop=1 views=single", "evaluation size=32", "evaluation crop=whole views=flip"]
)
def test_evaluation_may_be_laid_over_a_run(run: Run, data: Path, words: str) -> None:
    """What the statement leaves out stays as in the run."""
    figures = run.evaluate(words)
    assert not np.array_equal(figures.logits, run.evaluate().logits)
    loaded = recipe.load(run.folder, device="cpu").evaluate(words)
    assert np.array_equal(figures.logits, loaded.logits)


def test_a_single_view_laid_over_a_run_is_the_center(run: Run) -> None:
    figures = run.evaluate("evaluation views=single")
    with Image.open(figures.images[0]) as image:
        width, height = image.size
        side = min(image.size) * 0.8
        left, top = (width - side) / 2, (height - side) / 2
        center = image.resize((40, 40), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.4, 0.5, 0.6), (0.25, 0.25, 0.5)))
    with torch.no_grad():
        logits = run.model(((torch.from_numpy(np.array(center)).permute(2, 0, 1) / 255 - mean) / std)[None])[0]
    assert np.abs(figures.logits[0] - logits.numpy()).max() < 1e-4


def test_what_the_training_used_cannot_be_laid_over_a_run(run: Run) -> None:
    with pytest.raises(RecipeError, match=r"E129.*`input` can't be replaced"):
        run.evaluate("input mean=0 0 0")


def test_pretrained_weights_are_evaluated_without_training(run: Run, data: Path) -> None:
    weights = run.folder / "model.safetensors"
    text = f'base timm:test_resnet weights="{weights}"; data folder "{data}"; evaluation views=ten-crop'
    found = command("evaluate", text, "--device", "cpu", "--json")
    assert found.status == 0, found.stderr
    assert json.loads(found.stdout)["top1"] == pytest.approx(run.evaluate().top1)
    assert "other inputs" not in found.stdout + found.stderr


def test_how_a_run_evaluates_cannot_be_dropped(run: Run) -> None:
    with pytest.raises(RecipeError, match=r"E129.*`evaluation` can't be dropped"):
        run.evaluate("drop evaluation")


def test_views_laid_over_a_run_on_images_in_memory_keep_its_crop(tmp_path: Path) -> None:
    text = "base timm:test_resnet; data digits size=32; batch 256; epochs 1; lr 1e-3; evaluation crop=80%"
    run = recipe.run(text, out=tmp_path / "run", device="cpu")
    both = run.evaluate("evaluation crop=80% views=flip")
    assert np.array_equal(run.evaluate("evaluation views=flip").logits, both.logits)
    assert not np.array_equal(run.evaluate().logits, both.logits)


@pytest.mark.parametrize("crop", ["100%", "60%", "whole"])
def test_training_images_that_no_trick_crops_are_seen_as_in_evaluation(data: Path, crop: str) -> None:
    base = f'base timm:test_resnet; data folder "{data}" size=32; evaluation crop={crop}'
    sets, plain = (open_sets(bind(text)) for text in (base, base.partition("; evaluation")[0]))
    assert isinstance(sets.train, Files)
    assert isinstance(sets.val, Files)
    first = np.arange(1)
    seen = attrs.evolve(sets.val, paths=sets.train.paths).fetch(first, None)
    assert torch.equal(sets.train.fetch(first, None), seen)
    assert not torch.equal(plain.train.fetch(first, None), seen)


def test_so_are_those_in_memory() -> None:
    text = "base timm:test_resnet; data digits size=32; evaluation crop=50%"
    sets, cropped, whole = (open_sets(bind(words)) for words in (text, f"{text}; augment crop", text[:-21]))
    first = np.arange(1)
    assert not torch.equal(sets.train.fetch(first, None), whole.train.fetch(first, None))
    assert torch.equal(cropped.train.fetch(first, None), whole.train.fetch(first, None))
    assert cropped.val.fetch(first, None).shape == (1, 3, 32, 32)


def test_so_are_those_in_memory_in_the_steps_outside_of_a_span() -> None:
    text = "base timm:test_resnet; data digits size=32; evaluation crop=50%; batch 500; epochs 2"
    without, spanned = (bind(words) for words in (text, f"{text}; augment crop until=1"))
    absent, outside = (training_images(plan, open_sets(plan), Ranks()) for plan in (without, spanned))
    per_epoch = outside.steps
    assert not torch.equal(outside[0].images, absent[0].images)
    assert torch.equal(outside[per_epoch].images, absent[per_epoch].images)
