"""A look at a dataset finds what is in it and what is wrong with it, without decoding an image."""

from __future__ import annotations

import re
import shutil
from html import escape
from pathlib import Path

import numpy as np
import pytest
import rich.console
import torch
from PIL import Image, ImageFile

import recipe
from recipe.api import InMemory, Trick, integer, trick
from recipe.base.errors import RecipeError
from recipe.data.images import Sets
from tests.helpers import vocabulary_with
from tests.inference.helpers import paint
from tests.showing.helpers import Own, folder, wrong


def of(root: Path, more: str = "", **options: str) -> recipe.DataReport:
    return recipe.show_data(f'base resnet18; data folder "{root}" size=40 {more}', **options)


def test_a_notebook_shows_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = of(folder(tmp_path, "<cat>", "dog"))
    text = report.to_text()
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    assert report.to_text() == text
    assert report._repr_html_() == f"<pre>{escape(text)}</pre>"


def test_a_sound_folder(tmp_path: Path) -> None:
    report = of(folder(tmp_path, "cat", "dog"))
    assert report.findings == ()
    assert [(part.name, part.per_class, part.balance) for part in report.parts] == [
        ("training", (4, 4), 1.0),
        ("held-out", (2, 2), 1.0),
    ]
    found = report.to_dict()
    assert found["sizes"] == {  # 4 of 40, 44, 48 and 52 × 40 pixels in each part, or 2
        "smallest": {"width": 40, "height": 40},
        "largest": {"width": 52, "height": 40},
        "most_frequent": {"width": 40, "height": 40},
        "images": 4,
        "smaller": 0,
    }
    assert (found["kinds"], found["looked_at"], found["of"]) == ({"RGB": 12}, 12, 12)
    assert found["duplicates"] == {"compared": 12, "groups": []}
    assert repr(report).endswith("8 training, 4 held-out; 0 findings)")


def test_images_in_a_format_that_is_not_read_are_a_finding(tmp_path: Path) -> None:
    for seed, name in enumerate(("cat", "dog")):
        paint(tmp_path / name, "red", 20, seed)
    (tmp_path / "cat" / "photo.heic").touch()
    report = of(tmp_path)
    (finding,) = report.findings
    assert finding in report.notes
    assert "1 image in the format HEIC, such as `cat/photo.heic`" in finding
    assert report.to_text().count(finding) == 1


def test_up_to_fifty_images_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        paint(tmp_path / name, "red", 3, 0)
    for number in range(53):
        (tmp_path / "cat" / f"b{number:02}.png").touch()
    _, _, broken = of(tmp_path).to_text().partition("images that can't be read:\n")
    lines = broken.partition("\n\nfindings:")[0].splitlines()
    assert len(lines) == 51
    assert {line.partition("/cat/")[2] for line in lines[:50]} <= {
        f"b{number:02}.png` can't be decoded: the file is empty" for number in range(53)
    }
    assert lines[50] == "  and 3 more"


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    report = of(wrong(tmp_path))
    train, val = tmp_path / "train", tmp_path / "val"
    assert report.findings == (
        "1 class (`owl`) without held-out images: add some",
        f"2 images can't be read, the first one: the image `{train}/dog/0.png` can't be decoded: the file is empty; "
        "repair or remove them, or skip them with `on-error=skip` in `data folder`",
        f"1 image occurs in several parts, such as `{train}/cat/0.png` (training, `cat`) and `{val}/cat/copy.png` "
        "(held-out, `cat`); keep each in one part",
        f"1 image occurs with different classes, such as `{train}/cat/1.png` (training, `cat`) and "
        f"`{train}/dog/copy.png` (training, `dog`); keep each in its class",
    )
    found = report.to_dict()
    assert [part["classes"] for part in found["parts"]] == [
        [{"class": "cat", "images": 4}, {"class": "dog", "images": 5}, {"class": "owl", "images": 8}],
        [{"class": "cat", "images": 3}, {"class": "dog", "images": 2}, {"class": "owl", "images": 0}],
    ]
    numbers = ("fewest", "median", "most", "balance")
    assert [[part[name] for name in numbers] for part in found["parts"]] == [[4, 5, 8, 2.0], [0, 2, 3, None]]
    assert found["kinds"] == {"RGB": 19, "gray": 1}
    assert [found[name] for name in ("looked_at", "of", "transparent", "deep", "turned")] == [22, 22, 1, 1, 1]
    assert found["sizes"]["smallest"] == {"width": 20, "height": 20}
    assert found["sizes"]["largest"] == {"width": 640, "height": 480}
    assert found["sizes"]["smaller"] == 2
    assert {Path(each["image"]).name: each["class"] for each in found["unreadable"]} == {
        "0.png": "dog",
        "float.tif": "owl",
    }
    assert "floats" in found["unreadable"][1]["reason"]
    assert [(group["across"], group["differing"]) for group in found["duplicates"]["groups"]] == [
        (True, False),
        (False, True),
    ]
    assert any("notes.txt" in note for note in report.notes)
    text = report.to_text()
    assert "  smallest training classes:         `cat` 4, `dog` 5, `owl` 8\n" in text
    assert "  shorter side below 40:             2 of 22\n" in text
    assert all(f"\n  {finding}" in text for finding in report.findings)


def test_a_finding_says_what_fits_the_recipe(tmp_path: Path) -> None:
    for name, count in (("cat", 20), ("dog", 1)):
        paint(tmp_path / name, "red", count, count)
    (tmp_path / "cat" / "broken.png").touch()
    report = of(tmp_path, "val=30% on-error=skip")
    (lacking,) = report.findings
    assert lacking == (
        "1 class (`dog`) without held-out images: "
        "add some, split off more with a larger `val=`, or others with another `split-seed=`"
    )
    head, training, held_out = (re.split(" {2,}", line.strip()) for line in report.to_text().split("\n")[2:5])
    assert head[1:3] == ["images", "of which can't be read"]
    assert (int(training[1]) + int(held_out[1]), int(training[2]) + int(held_out[2])) == (22, 1)
    assert f"\n\nimages that can't be read and are skipped:\n  the image `{tmp_path}/cat/broken" in report.to_text()


def test_names_are_printable(tmp_path: Path) -> None:
    bad = "a\x1b[31m\u202e\nfinding"
    report = of(folder(tmp_path, "cat", bad))
    assert report.classes == (bad, "cat")
    assert [letter for letter in report.to_text() if not letter.isprintable() and letter != "\n"] == []
    assert r"a\x1b[31m\u202e\nfinding" in report.to_text()


def test_no_image_is_decoded_and_few_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 10,000 files, all headers are read, and the contents of those that have the size of others."""
    root = folder(tmp_path, "cat", "dog", train=1, val=1, side=8)
    content = (root / "train" / "cat" / "0.png").read_bytes()
    for number in range(1, 10_000):
        (root / "train" / "cat" / f"{number}.png").write_bytes(content + b"\0" * (number % 5000))

    def load(self: ImageFile.ImageFile) -> None:
        raise AssertionError("an image is decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    report = of(root)
    assert (report.pixels.looked_at, report.pixels.of) == (10_003, 10_003)
    assert report.duplicates is not None
    assert report.duplicates.compared == 10_003
    assert len(report.duplicates.groups) == 5000
    assert report.parts[0].balance == 10_000


def test_a_look_ends_in_time(tmp_path: Path) -> None:
    report = of(folder(tmp_path, "cat", "dog"), max_time="0.000001s")
    assert (report.pixels.looked_at, report.pixels.sizes) == (0, None)
    assert report.duplicates is not None
    assert (report.duplicates.compared, report.duplicates.groups) == (0, ())
    assert "0 of 12, chosen at random, until the time was over" in report.to_text()
    assert "0 of 12 compared, since the time was over" in report.to_text()


@trick("data pixels", position=40, writes=("data",))
class Pixels(Trick):
    """Images in memory, of which the first training image is also held out, with another class."""

    size: int = integer(8, "side of the images")
    workers: int = integer(0, "processes")

    def open(self) -> Sets:
        pixels = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1).repeat(1, 3, 8, 8)
        return Sets(InMemory(pixels, torch.tensor([0, 1, 1, 1])), InMemory(pixels[:1], torch.tensor([1])), 2)


def test_images_in_memory() -> None:
    report = recipe.show_data("base resnet18; data pixels", plugins=vocabulary_with(Pixels))
    assert report.findings == (
        "1 class (`0`) without held-out images: add some",
        "1 image occurs in several parts, such as training image 0 (training, `0`) and held-out image 0 "
        "(held-out, `1`); keep each in one part",
        "1 image occurs with different classes, such as training image 0 (training, `0`) and held-out image 0 "
        "(held-out, `1`); keep each in its class",
    )
    assert report.pixels.kinds == {"RGB": 5}


def test_digits_are_looked_at_as_they_are() -> None:
    report = recipe.show_data("first")
    assert report.pixels.sizes is not None
    assert (report.pixels.sizes.largest, report.pixels.sizes.smaller) == ((8, 8), 1797), "before they are enlarged"
    assert [part.images for part in report.parts] == [1442, 355]
    assert report.findings == ()


def test_images_that_a_trick_loads_itself_are_only_counted() -> None:
    report = recipe.show_data("base resnet18; data own", plugins=vocabulary_with(Own))
    assert (report.duplicates, report.pixels.sizes, report.pixels.looked_at) == (None, None, 0)
    assert [part.per_class for part in report.parts] == [(2, 1), (0, 1)]
    assert "none, since the dataset loads them with code of its own" in report.to_text()


def test_a_folder_with_only_held_out_images(tmp_path: Path) -> None:
    root = folder(tmp_path, "cat", "dog")
    shutil.rmtree(root / "train")
    report = of(root)
    assert [part.images for part in report.parts] == [0, 4]
    assert "smallest held-out classes" in report.to_text()
    gray = np.zeros((40, 40), np.uint8)
    Image.fromarray(gray).save(root / "val" / "cat" / "0.png")
    assert of(root).pixels.kinds == {"RGB": 3, "gray": 1}


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ('base resnet18; data folder "nowhere"', {}, "the folder `.*nowhere` does not exist"),
        ("first", {"max_time": "soon"}, "invalid value `soon` for `max_time`"),
        ("base resnet18; dta digits", {}, "unknown verb"),
    ],
)
def test_what_cant_be_looked_at_is_refused(text: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe.show_data(text, **options)


def test_a_single_class_is_a_finding(tmp_path: Path) -> None:
    root = folder(tmp_path, "cat")
    why = "`data folder` has fewer than two classes: only `cat`; a classifier needs images of at least two classes: "
    assert of(root).findings == (f"{why}add those of another one",)
    assert of(root).to_dict()["parts"][0]["images"] == 4


def test_classes_without_training_images_are_a_finding_next_to_all_else(tmp_path: Path) -> None:
    root = folder(tmp_path, "cat", "dog")
    (root / "train" / "owl").mkdir()
    shutil.copy(root / "train" / "cat" / "0.png", root / "val" / "cat" / "copy.png")
    report = of(root)
    empty, across = report.findings
    help = "put the images of each class in its folder, or remove a folder that is no class"
    assert empty == f"no images found in `{root / 'train' / 'owl'}`; {help}"
    assert across.startswith("1 image occurs in several parts")
    assert [(part.name, part.per_class) for part in report.parts] == [("training", (4, 4, 0)), ("held-out", (3, 2, 0))]
    assert "training" in report.to_text()


def test_a_dataset_without_held_out_images_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for name in ("1.png", "old/2.png"):
        Image.new("RGB", (40, 40), (len(name), 0, 0)).save(tmp_path / name)
    report = of(tmp_path)
    assert [each.split("; ")[0] for each in report.findings] == [
        "`data folder` has fewer than two classes: only `old`",
        "`data folder` has fewer than two images to train on",
        "`data folder` has no held-out images to evaluate on",
    ]
    assert [part.images for part in report.parts] == [1, 0]
    assert "1 file outside of the class folders" in report.to_text()
