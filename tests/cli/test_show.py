"""`recipe show`, as users type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import recipe
from tests.docs.schemas import validate
from tests.helpers import command
from tests.showing.helpers import TINY, folder, wrong


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder and return it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_sheet_is_named_after_the_recipe_and_never_overwritten(here: Path) -> None:
    Path("mine.recipe").write_text(TINY)
    done = command("show", "mine.recipe", "batch 4; augment flip", "--images", "6", "--epoch", "2")
    assert (done.status, done.stdout) == (0, "mine.png\n")
    assert done.stderr == "6 training images of epoch 2; 3 evaluation images\n"
    sheet = recipe.show("mine.recipe", "batch 4; augment flip", images=6, epoch=2)
    assert Path("mine.png").read_bytes() == sheet._repr_png_()
    again = command("show", "mine.recipe")
    assert again.status == 2
    assert again.stderr.startswith("error[E111]: `mine.png` already exists\n  = help: choose another file with --out")
    assert command("show", TINY, "--split=evaluation").stdout == "sheet.png\n"
    assert sorted(path.name for path in here.iterdir()) == ["mine.png", "mine.recipe", "sheet.png"]


def test_a_run_is_shown(here: Path) -> None:
    run = here / "runs" / "tiny"
    run.mkdir(parents=True)
    (run / "recipe.lock").write_text(recipe.compile(TINY, device="meta").plan.canonical())
    assert command("show", run, "--images=2").stdout == "tiny.png\n"


def test_what_was_passed_over_is_reported(here: Path) -> None:
    root = folder(here / "photos", "cat", "dog")
    (root / "train" / "notes.txt").write_text("")
    (root / "val" / "dog" / "1.png").write_bytes(b"damaged")
    text = 'base resnet18; data folder "photos" size=32 on-error=skip; batch 1; augment mixup'
    done = command("show", text, "--out", "a.png")
    assert done.stderr.splitlines() == [
        "warning: nothing is mixed: a batch has only one image",
        "ignored in `photos/train`: 1 file outside of the class folders, such as `notes.txt`",
        "held-out image 3 is skipped: the image `photos/val/dog/1.png` can't be decoded: its content is damaged, or "
        "in none of the formats JPEG, PNG, BMP, GIF, WEBP, TIFF, PPM and AVIF",
        "8 training images of epoch 1; 3 evaluation images",
    ]
    assert done.stdout == "a.png\n"


def test_views_are_counted(here: Path) -> None:
    root = folder(here / "photos", "cat", "dog")
    text = f'base resnet18; data folder "{root}" size=32; evaluation views=five-crop'
    done = command("show", text, "--split", "evaluation", "--out", "a.png", "--images", "11")
    assert done.stderr == "2 evaluation images, 5 views each\n"
    with Image.open("a.png") as image:
        assert image.format == "PNG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TINY, "--epoch=3"), "error[E024]: there is no epoch 3 to show: the recipe trains for 2"),
        ((TINY, "--epoch=0"), "error[E024]: there is no epoch 0 to show"),
        ((TINY, "--images=0"), "0 is not in the range 1<=x<=1000"),
        ((TINY, "--split=test"), "'test' is not one of 'training', 'evaluation', 'both'"),
        ((TINY, "--out=a.jpg"), "error[E111]: `a.jpg` is not a valid name for a PNG file"),
        ((TINY, "--out=gone/a.png"), "error[E111]: `gone/a.png` can't be written: no such file or directory"),
        (("base resnet18; data folder \"photos\"",), "error[E070]: `data folder`: the folder"),
        (("base resnet18; data folder \"empty\"",), "error[E070]: `data folder`: no class folders found in"),
        (("gone.recipe",), "error[E001]: file, run folder or example not found: `gone.recipe`"),
        (("base resnet18; augmnt flip",), "error[E020]: unknown verb"),
    ],
)  # fmt: skip
def test_what_cant_be_shown_is_refused(arguments: tuple[str, ...], message: str, here: Path) -> None:
    (here / "empty" / "train").mkdir(parents=True)
    done = command("show", *arguments)
    assert (done.status, done.stdout) == (2, "")
    assert message in done.stderr
    assert [path.name for path in here.iterdir()] == ["empty"]


def test_a_dataset_is_looked_at(here: Path) -> None:
    folder(here / "photos", "cat", "dog")
    done = command("show", "--data", "first", 'data folder "photos" size=40')
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout == recipe.show_data("first", 'data folder "photos" size=40').to_text() + "\n"
    assert done.stdout.endswith("findings: none\n")
    assert [path.name for path in here.iterdir()] == ["photos"]


def test_findings_are_an_exit_code(here: Path) -> None:
    wrong(here / "photos")
    text = 'base resnet18; data folder "photos" size=40'
    done = command("show", "--data", text, "--json", "--max-time", "1m")
    assert (done.status, done.stderr) == (1, "")
    found = json.loads(done.stdout)
    validate("show", found)
    assert len(found["findings"]) == 4
    assert any(f"the image `{here}/photos/train/dog/0.png`" in each for each in found["findings"]), "data is absolute"
    done = command("show", "--data", text)
    assert done.status == 1
    assert "the image `photos/train/dog/0.png`" in done.stdout
    assert str(here) not in done.stdout


def test_images_that_the_recipe_skips_are_no_finding(here: Path) -> None:
    root = folder(here / "photos", "cat", "dog")
    (root / "train" / "dog" / "0.png").write_bytes(b"")
    text = 'base resnet18; data folder "photos" size=40'
    assert command("show", "--data", text).status == 1
    done = command("show", "--data", f"{text} on-error=skip")
    assert (done.status, done.stdout.splitlines()[-1]) == (0, "findings: none")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--json",), "--json requires --data"),
        (("--max-time=9s",), "--max-time requires --data"),
        (("--data", "--out=a.png"), "--out has no effect with --data"),
        (("--data", "--images=32"), "--images has no effect with --data"),
        (("--data", "--epoch=1"), "--epoch has no effect with --data"),
        (("--data", "--split=both"), "--split has no effect with --data"),
        (("--data", "--max-time=soon"), "error[E118]: invalid value `soon` for `--max-time`"),
    ],
)
def test_options_without_effect_are_refused(options: tuple[str, ...], message: str, here: Path) -> None:
    done = command("show", TINY, *options)
    assert (done.status, done.stdout) == (2, "")
    assert message in done.stderr
    assert not list(here.iterdir())
