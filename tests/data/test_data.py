"""Opening datasets and loading images, and the errors when that fails."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

from recipe.base.errors import RecipeError
from recipe.data.draws import order
from recipe.data.images import Files, InMemory, Sets, unfit
from recipe.inference.batches import InOrder, load
from recipe.inference.datasets import open_sets
from recipe.language.recipe_input import source_from
from recipe.plan.bind import bind
from recipe.plugins.settings import Training
from recipe.training.loading import Steps
from recipe.tricks.data_fake import Fake
from tests.inference.helpers import paint
from tests.training.helpers import train, weights_digest


def sets_of(text: str):
    return open_sets(bind([source_from(f"base resnet18; {text}")]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write PNG files of several shapes in two classes, one color each, and a file that is not an image."""
    root = tmp_path / "images"
    for part, count in (("train", 5), ("val", 2)):
        for name, colour in (("blue", (0, 0, 255)), ("red", (255, 0, 0))):
            for number in range(count):
                path = root / part / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (40 + 10 * number, 64), colour).save(path)
    (root / "train" / "red" / "notes.txt").write_text("not an image")
    return root


@pytest.fixture
def noisy(folder: Path) -> Path:
    """Return the folder with its images replaced by noise of the same shapes.

    A crop or flip of one color changes nothing. Training on few colors also amplifies rounding errors, which depend on
    the number of threads, until it may diverge: some channels hardly vary, and batch normalization divides by that.
    """
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        with Image.open(path) as image:
            width, height = image.size
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


def test_digits_are_held_out_by_a_fixed_rule() -> None:
    sets = sets_of("data digits")
    assert (len(sets.train.labels), len(sets.val.labels)) == (1442, 355)
    assert sets.train.pixels.shape == (1442, 3, 32, 32)
    assert sets.train.pixels.dtype is torch.uint8
    assert set(sets.val.labels.tolist()) == set(range(10))


def test_a_folder_has_its_images_by_class(folder: Path) -> None:
    sets = sets_of(f'data folder "{folder}" size=32')
    assert sets.classes == 2
    assert sets.train.labels.tolist() == [0] * 5 + [1] * 5
    pixels = sets.train.fetch(np.array([0, 9]), None)
    assert pixels.shape == (2, 3, 32, 32)
    assert pixels.dtype is torch.uint8
    assert pixels[0, :, 5, 5].tolist() == [0, 0, 255]
    assert pixels[1, :, 5, 5].tolist() == [255, 0, 0]


def test_evaluation_crops_the_centre_of_224_from_a_short_side_of_256(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (256, 1, 3))
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    (pixels,) = Files((tmp_path / "ramp.png",), torch.zeros(1, dtype=torch.long), 224).fetch(np.array([0]), None)
    assert pixels[0, 0].tolist() == list(range(16, 240))


def test_gray_images_of_16_bits_keep_their_shades(tmp_path: Path) -> None:
    shades = (np.arange(256, dtype=np.uint16) * 257)[None, :].repeat(256, 0)
    Image.fromarray(shades).save(tmp_path / "deep.png")
    (pixels,) = Files((tmp_path / "deep.png",), torch.zeros(1, dtype=torch.long), 224).fetch(np.array([0]), None)
    assert pixels[:, 0].tolist() == [list(range(16, 240))] * 3


PART = InMemory(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.arange(2))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({"test": PART}, None),
        ({"test": attrs.evolve(PART, labels=[0, 1])}, "the labels of `Sets.test` must be torch.int64 (N,), not list"),
        ({"val": SimpleNamespace(labels=PART.labels, uniform=True)}, "of type SimpleNamespace, which has no `fetch`"),
        ({"train": SimpleNamespace(labels=PART.labels, fetch=PART.fetch)}, "has no `uniform`"),
        ({"train": attrs.evolve(PART, labels=PART.labels.float())}, "must be torch.int64 (N,), not torch.float32 (2,)"),
        ({"train": attrs.evolve(PART, labels=[0, 1])}, "the labels of `Sets.train` must be torch.int64 (N,), not list"),
        ({"classes": ["cat", "dog"]}, "`Sets.classes` must be the number of classes, not ['cat', 'dog']"),
        ({"classes": True}, "`Sets.classes` must be the number of classes, not True"),
        ({"mean": (0.5,)}, "`Sets.mean` and `Sets.std` must have three channels"),
        ({"mean": 0.5}, "`Sets.mean` must be three numbers, not 0.5"),
        ({"mean": (0.5, math.nan, 0.5)}, "`Sets.mean` must be finite, not (0.5, nan, 0.5)"),
        ({"std": (0.5, math.inf, 0.5)}, "`Sets.std` must be finite and greater than 0, not (0.5, inf, 0.5)"),
        ({"std": (0.5, 0, 0.5)}, "`Sets.std` must be finite and greater than 0, not (0.5, 0, 0.5)"),
        ({"std": (0.5, -1, 0.5)}, "`Sets.std` must be finite and greater than 0"),
        ({"std": (0.5, "a", 0.5)}, "`Sets.std` must be three numbers"),
        ({"names": ("cat", "dog")}, None),
        ({"names": ("cat",)}, "`Sets.names` has 1 name, but `Sets.classes` is 2"),
        ({"names": ("cat", "dog", "cow")}, "`Sets.names` has 3 names, but `Sets.classes` is 2"),
        ({"names": ("cat", "cat")}, "`Sets.names` has the name 'cat' twice"),
        ({"names": "ab"}, "`Sets.names` must be a tuple of strings, not 'ab'"),
        ({"notes": "all is well"}, "`Sets.notes` must be a tuple of strings, not 'all is well'"),
        ({"notes": ("1 file is left out",)}, None),
        ({"train": attrs.evolve(PART, labels=torch.arange(1))}, "`Sets.train` has 2 images but 1 label"),
        ({"train": attrs.evolve(PART, labels=torch.arange(3))}, "`Sets.train` has 2 images but 3 labels"),
        ({"val": Files((Path("a"), Path("b")), torch.arange(1), 8)}, "`Sets.val` has 2 images but 1 label"),
        ({"val": Files((Path("a"), Path("b")), torch.arange(2), 16)}, "have 16×16 pixels, but its `size` is 8"),
        ({"test": attrs.evolve(PART, pixels=PART.pixels[..., :4])}, "have 8×4 pixels, but its `size` is 8"),
        ({"std": (0.5, "0.5", 0.5)}, "`Sets.std` must be three numbers"),
        ({"val": attrs.evolve(PART, pixels=PART.pixels.float())}, "(N, 3, H, W), not torch.float32"),
        ({"val": attrs.evolve(PART, pixels=PART.pixels[:, :1])}, "(N, 3, H, W), not torch.uint8 (2, 1"),
    ],
)  # fmt: skip
def test_what_sets_must_contain(changed: dict[str, object], said: str | None) -> None:
    found = unfit(attrs.evolve(Sets(PART, PART, 2), **changed), PART.pixels.shape[-1])
    assert found is None if said is None else said in found


LABELS = [
    (torch.tensor([0, 2]), "the label 2 of the training image 1 is not a class from 0 to 1"),
    (torch.tensor([-1, 0]), "the label -1 of the training image 0 is not a class from 0 to 1"),
    (torch.tensor([0]), "fewer than two images to train on"),
]


@pytest.mark.parametrize(("labels", "said"), LABELS)
def test_labels_that_are_no_classes(monkeypatch: pytest.MonkeyPatch, labels: torch.Tensor, said: str) -> None:
    part = InMemory(PART.pixels[: len(labels)], labels)
    monkeypatch.setattr(Fake, "open", lambda self: Sets(part, PART, 2))
    with pytest.raises(RecipeError, match=f"E070.*`data fake`.*{said}"):
        sets_of("data fake size=8")


@pytest.mark.parametrize("classes", [-1, 0, 1])
def test_too_few_classes(monkeypatch: pytest.MonkeyPatch, classes: int) -> None:
    monkeypatch.setattr(Fake, "open", lambda self: Sets(PART, PART, classes))
    with pytest.raises(RecipeError, match=r"E070.*`data fake` has fewer than two classes"):
        sets_of("data fake size=8")


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_visits_every_image_once(folder: Path, workers: int) -> None:
    images = sets_of(f'data folder "{folder}" size=16').train
    training = Training(batch=4, seed=3)
    batches = list(load(Steps(images, training, None), range(6), workers, False))
    assert [len(batch.indices) for batch in batches] == [4, 4, 2] * 2
    for epoch in (0, 1):
        seen = np.concatenate([batch.indices for batch in batches[3 * epoch : 3 * epoch + 3]])
        assert sorted(seen.tolist()) == list(range(10))
        assert seen.tolist() == order(3, epoch, 10).tolist()


def test_a_loader_that_starts_later_returns_the_same_batches(folder: Path) -> None:
    images, training = sets_of(f'data folder "{folder}" size=16').train, Training(batch=4)
    whole = list(load(Steps(images, training, None), range(6), 0, False))
    later = list(load(Steps(images, training, None), range(4, 6), 0, False))
    assert [batch.indices.tolist() for batch in later] == [batch.indices.tolist() for batch in whole[4:]]
    assert all(torch.equal(a.images, b.images) for a, b in zip(later, whole[4:], strict=True))


@pytest.mark.parametrize(
    ("samples", "batch", "sizes"), [(8, 4, [4, 4]), (9, 4, [4, 5]), (10, 4, [4, 4, 2]), (3, 8, [3])]
)
def test_no_batch_has_a_single_image(samples: int, batch: int, sizes: list[int]) -> None:
    training, order = Training(batch=batch), list(range(samples))
    batches = [order[training.images(step, samples)] for step in range(training.steps(samples))]
    assert [len(images) for images in batches] == sizes
    assert [image for images in batches for image in images] == order


def test_evaluation_visits_every_image_in_order(folder: Path) -> None:
    images = sets_of(f'data folder "{folder}" size=16').val
    batches = list(load(InOrder(images, 3), range(len(InOrder(images, 3))), 0, False))
    assert np.concatenate([batch.indices for batch in batches]).tolist() == [0, 1, 2, 3]


def test_training_on_a_folder_is_the_same_with_and_without_workers(noisy: Path, tmp_path: Path) -> None:
    """No batch has only two images: in the last layers, batch normalization would average over two values."""
    text = "base shufflenet_v2_x0_5; lr 0.001; augment crop flip; batch 5; epochs 2; drop norm precise"
    runs = [train(tmp_path / str(n), f'data folder "{noisy}" size=32 workers={n}', text=text) for n in (0, 2)]
    for run in runs:
        (*_, last) = [line for line in run.metrics if line["kind"] == "evaluation"]
        assert last["loss"] == pytest.approx(math.log(2), abs=0.1)  # a training that explodes would compare rounding
    assert weights_digest(runs[0].model) == weights_digest(runs[1].model)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda root: None, "does not exist"),
        (lambda root: (root / "train").mkdir(parents=True), "no class folders found in"),
        (lambda root: (root / "train" / "cat").mkdir(parents=True), "no images found in"),
        (
            lambda root: [(root / part / "cat").mkdir(parents=True) for part in ("train", "val")],
            "no images found in",
        ),
        (
            lambda root: [paint(root / name, "red", 1, 0) for name in ("train/cat", "val/dog")],
            "the class `dog` of",
        ),
    ],
)
def test_an_invalid_folder_is_rejected(tmp_path: Path, make, said: str) -> None:
    make(tmp_path / "images")
    with pytest.raises(RecipeError) as error:
        sets_of(f'data folder "{tmp_path / "images"}"')
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "E070"
    assert said in diagnostic.message
    assert diagnostic.span is not None
    assert diagnostic.span.text == f'"{tmp_path / "images"}"'


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_decoded_is_named(folder: Path, tmp_path: Path, workers: int) -> None:
    broken = folder / "train" / "red" / "3.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(RecipeError) as error:
        train(
            tmp_path / "run",
            text=f'base shufflenet_v2_x0_5; lr 0.001; batch 4; data folder "{folder}" size=32 workers={workers}',
        )
    assert error.value.diagnostics[0].code == "E070"
    assert str(broken) in error.value.diagnostics[0].message


def test_hidden_folders_are_ignored_and_empty_ones_are_rejected(folder: Path) -> None:
    (folder / "train" / ".cache").mkdir()
    assert sets_of(f'data folder "{folder}"').classes == 2
    (folder / "train" / "green").mkdir()
    with pytest.raises(RecipeError) as error:
        sets_of(f'data folder "{folder}"')
    (diagnostic,) = error.value.diagnostics
    said = f"`data folder`: no images found in `{folder}/train/green`; ignored in `{folder}/train`: "
    assert diagnostic.message.startswith(said)
    assert "has no images of" not in diagnostic.message
    assert diagnostic.help == "put the images of each class in its folder, or remove a folder that is no class"


def test_what_to_do_about_a_folder_without_classes_or_with_one(folder: Path, tmp_path: Path) -> None:
    def help_of(path: Path) -> str:
        with pytest.raises(RecipeError) as error:
            sets_of(f'data folder "{path}"')
        return error.value.diagnostics[0].help

    flat = next((folder / "train").iterdir())
    assert (
        help_of(flat)
        == f"put the images of each class in a folder with the name of the class: `{flat}/CLASS/IMAGE.jpg`"
    )
    shutil.copytree(flat, tmp_path / "one" / "only")
    assert help_of(tmp_path / "one") == "a classifier needs images of at least two classes: add those of another one"
    shutil.copytree(flat, tmp_path / "stray")
    shutil.copytree(flat, tmp_path / "stray" / "old")
    with pytest.raises(RecipeError, match=r"fewer than two classes: only `old`; ignored in .* outside of the") as error:
        sets_of(f'data folder "{tmp_path / "stray"}"')
    assert "val=50%" not in str(error.value)
    with pytest.raises(RecipeError, match=f"images but no class folders found in `{flat}`"):
        sets_of(f'data folder "{flat}"')
    (tmp_path / "none" / "cat").mkdir(parents=True)
    assert help_of(tmp_path / "none") == "put the images of each class in its folder"
    assert help_of(tmp_path / "on") == "did you mean `one`?"


@pytest.mark.parametrize(
    ("name", "said"), [("fashion-mnist", "neither .* exists"), ("cifar10", "is missing or does not contain the files")]
)
def test_a_missing_published_dataset(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(RecipeError, match=f"E070.*{said}"):
        sets_of(f'data {name} "{tmp_path}"')
