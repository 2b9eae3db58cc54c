"""A sheet shows the images that a training and an evaluation make, to the pixel, with their targets."""

from __future__ import annotations

import io
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

import recipe
from recipe.base.errors import RecipeError
from recipe.data.images import InMemory, Sets
from recipe.plan.bind import resolve
from recipe.showing import drawing
from recipe.showing import sheet as sheet_module
from recipe.showing.drawing import GAP, HEADING, MARGIN, draw
from recipe.showing.tiles import Feed
from tests.helpers import bind
from tests.showing.helpers import TINY, folder, pixels_of

MANY = "augment flip crop jitter mixup 0.4 cutmix 1 erase 100%; loss smooth 0.1; seed 3; resize 0.5"


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("more", ["augment flip", MANY, "augment mixup 0.4 until=1; input mean=0.1 0.2 0.3"])
def test_training_tiles_are_the_batches_of_a_training(more: str, epoch: int) -> None:
    batches = recipe.batches(recipe.compile(f"{TINY}; {more}", device="meta"), device="cpu")
    first, second = batches.training(3 * epoch - 3, 3 * epoch - 1)
    sheet = recipe.show(f"{TINY}; {more}", images=12, epoch=epoch, split="training")
    inputs = [each for batch in (first, second) for each in pixels_of(batch.images, batches.sets)][:12]
    targets = torch.cat((first.targets, second.targets))[:12]
    assert [tile.step for tile in sheet.training] == [first.step] * 8 + [second.step] * 4
    for tile, pixels, target in zip(sheet.training, inputs, targets, strict=True):
        assert np.array_equal(tile.pixels, pixels)
        assert tile.target.shape == (10,)
        assert np.array_equal(tile.target, target.numpy() if target.ndim else np.eye(10)[int(target)])
        assert [share for _, share in tile.shares] == [x for x in sorted(tile.target, reverse=True)[:2] if x]
    assert sheet.evaluation == ()


def test_images_of_files_are_cropped_and_named(tmp_path: Path) -> None:
    root = folder(tmp_path, "cat", "dog", "owl")
    text = f'base timm:test_resnet; data folder "{root}" size=32 workers=2; augment crop; batch 5; epochs 1'
    text += "; drop loss smooth"
    batches = recipe.batches(recipe.compile(text, device="meta"), device="cpu")
    sheet = recipe.show(text, images=100)
    trained = [*batches.training()]
    pixels = [each for batch in trained for each in pixels_of(batch.images, batches.sets)]
    assert len(sheet.training) == len(pixels) == 12, "an epoch has no more images"
    assert all(np.array_equal(tile.pixels, each) for tile, each in zip(sheet.training, pixels, strict=True))
    assert [tile.shares for tile in sheet.training] == [
        ((sheet.classes[label], 1.0),) for batch in trained for label in batch.targets.tolist()
    ]
    assert all(tile.path is not None and tile.path.parent.name == tile.shares[0][0] for tile in sheet.training)
    assert {tile.path for tile in sheet.training} == {*(root / "train").glob("*/*.png")}
    held_out = [each for images, _ in batches.evaluation() for each in pixels_of(images, batches.sets)]
    assert [tile.index for tile in sheet.evaluation] == [0, 1, 2, 3, 4, 5]
    assert all(np.array_equal(tile.pixels, each) for tile, each in zip(sheet.evaluation, held_out, strict=True))
    assert [tile.shares for tile in sheet.evaluation] == [
        ((name, 1.0),) for name in ("cat", "dog", "owl") for _ in "12"
    ]


def test_evaluation_images_are_evenly_spread() -> None:
    sheet = recipe.show("base resnet18; data digits", images=5, split="evaluation")
    assert sheet.training == ()
    assert [tile.index for tile in sheet.evaluation] == [0, 88, 177, 266, 354]


def test_views_of_an_image_follow_one_another(tmp_path: Path) -> None:
    text = f'base resnet18; data folder "{folder(tmp_path, "cat", "dog")}" size=32; evaluation views=ten-crop'
    sheet = recipe.show(text, images=25, split="evaluation")
    assert [tile.index for tile in sheet.evaluation] == [0] * 10 + [3] * 10, "each view counts"
    assert [tile.view for tile in sheet.evaluation[:4]] == [
        "center",
        "center, mirrored",
        "top left",
        "top left, mirrored",
    ]
    for one, other in zip(sheet.evaluation[::2], sheet.evaluation[1::2], strict=True):
        assert np.array_equal(one.pixels[:, ::-1], other.pixels)
    with Image.open(tmp_path / "val" / "cat" / "0.png") as image:  # 40 × 40, of which a square of 35 is seen
        corner = image.crop((0, 0, 35, 35)).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.abs(sheet.evaluation[2].pixels.astype(int) - np.asarray(corner)).max() <= 1
    assert len(recipe.show(text, images=1, split="evaluation").evaluation) == 10


def test_the_picture_has_the_pixels_of_each_tile() -> None:
    sheet = recipe.show(f"{TINY}; resize 0.5", images=9)
    with Image.open(io.BytesIO(sheet._repr_png_())) as image:
        picture = np.asarray(image)
    top = MARGIN + HEADING + GAP
    for place, tile in enumerate(sheet.training[:8]):  # 16 × 16 pixels, enlarged eight times
        left = MARGIN + place * (128 + GAP)
        shown = picture[top : top + 128, left : left + 128]
        assert np.array_equal(shown, tile.pixels.repeat(8, 0).repeat(8, 1))
    assert picture.shape[1] == 2 * MARGIN + 8 * 128 + 7 * GAP
    assert picture[-MARGIN:].min() == 255


def test_gray_images_stay_gray() -> None:
    """Inputs with one channel become tiles with one, which are drawn gray."""
    plan = resolve(TINY)
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    part = InMemory(pixels, torch.arange(4))
    feed = Feed.of(plan, Sets(part, part, 10, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)), 10)
    (tile,) = feed.pixels((torch.full((1, 1, 2, 2), 51 / 255) - 0.5) / 0.2)[:1]
    assert (tile.shape[:2], {*tile.ravel().tolist()}) == ((2, 2), {51})


def test_images_that_cant_be_read_are_skipped_as_in_a_training(tmp_path: Path) -> None:
    root = folder(tmp_path, "cat", "dog")
    for part in ("train", "val"):
        (root / part / "cat" / "0.png").write_bytes(b"damaged")
    text = f'base timm:test_resnet; data folder "{root}" size=32 on-error=skip; batch 8; epochs 1'
    with pytest.raises(RecipeError, match="can't be decoded"):
        recipe.show(text.replace(" on-error=skip", ""))
    sheet = recipe.show(text)
    (batch,) = recipe.batches(recipe.compile(text, device="meta"), device="cpu").training()
    pixels = pixels_of(batch.images, Sets(sheet_part(), sheet_part(), 2))
    assert all(np.array_equal(tile.pixels, each) for tile, each in zip(sheet.training, pixels, strict=True))
    assert len(sheet.evaluation) == 3
    told = [note for note in sheet.notes if "is skipped" in note]
    assert [note.split(":")[0] for note in told] == [
        "held-out image 0 is skipped",
        "training image 0 is skipped, and another one is in its place",
    ]
    (instead,) = [tile for tile in sheet.training if tile.replaces is not None]
    assert (instead.replaces, [tile.index for tile in sheet.training].count(instead.index)) == (0, 2)
    with mock.patch.object(sheet_module, "draw", side_effect=draw) as drawn:
        assert sheet.image.width
    (sections,) = drawn.call_args.args
    assert sections[0].heading == "training: epoch 1, step 1, 1 image in place of skipped ones"
    marked = [tile for tile in sheet.training if drawing._caption(tile, 128)[-1][0] == "replacement"]
    assert marked == [instead]
    html = sheet._repr_html_()
    assert html.startswith('<img src="data:image/png;base64,')
    assert f"<div>held-out image 0 is skipped: the image <code>{root}/val/cat/0.png</code> can&#x27;t be" in html
    assert "<div>training image 0 is skipped, and another one is in its place: " in html


def sheet_part() -> InMemory:
    return InMemory(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))


def test_a_program_and_a_run_are_shown(tmp_path: Path) -> None:
    program = recipe.compile(TINY, "base timm:test_resnet classes=12; loss smooth 0.1", device="meta")
    sheet = recipe.show(program, images=2)
    assert sheet.classes[-1] == "11"
    assert sheet.training[0].target.shape == (12,)
    (tmp_path / "recipe.lock").write_text(program.plan.canonical())
    again = recipe.show(tmp_path, images=2)
    assert [tile.pixels.tolist() for tile in again.training] == [tile.pixels.tolist() for tile in sheet.training]
    assert repr(sheet) == "Sheet(2 training tiles of epoch 1, 2 of evaluation)"


@pytest.mark.parametrize(
    ("more", "options", "error", "message"),
    [
        ("", {"epoch": 3}, RecipeError, "there is no epoch 3 to show: the recipe trains for 2"),
        ("", {"epoch": 0}, RecipeError, "there is no epoch 0"),
        ("", {"images": 0}, ValueError, "`images` must be from 1 to 1000, not 0"),
        ("", {"split": "test"}, ValueError, "`split` must be one of 'training', 'evaluation', 'both'"),
        ("", {"images": True}, TypeError, "`images` of `recipe.show` must be a whole number"),
        ("base timm:test_resnet classes=9", {}, RecipeError, "the model has 9 outputs, but the dataset has 10 classes"),
        ('data folder "nowhere"', {}, RecipeError, "the folder `.*/nowhere` does not exist"),
    ],
)
def test_what_cant_be_shown_is_refused(
    more: str, options: dict[str, int], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        recipe.show(TINY, more, **options)


def test_a_sheet_is_saved_once(tmp_path: Path) -> None:
    sheet = recipe.show(TINY, images=2)
    sheet.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == sheet._repr_png_()
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    for name, why in (("a.png", "already exists"), ("link.png", "already exists"), ("b.jpg", "end the name in `.png`")):
        with pytest.raises(RecipeError, match="E111") as refused:
            sheet.save(tmp_path / name)
        assert why in str(refused.value)
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "link.png"}


def test_a_training_needs_no_model_to_be_shown() -> None:
    """The base is bound, but not built: a sheet of a large model is as quick as that of a small one."""
    plan = bind("base resnet152; data fake size=32 classes=10 images=16; batch 8")
    assert len(recipe.show(plan, images=4).training) == 4
