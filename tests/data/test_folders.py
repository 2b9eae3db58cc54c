"""What a folder of classes holds is taken as images, or reported before training."""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

import recipe
from recipe.base.errors import RecipeError
from recipe.data.folders import class_folders, find_images
from recipe.data.formats import ENDINGS, FORMATS
from recipe.data.images import Sets
from recipe.inference.datasets import open_sets
from recipe.plan.bind import resolve
from recipe.training.engine import Request, dry
from recipe.training.reporting import Listener


class Told(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def write(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of two images for training, and of one held out."""
    for part, count in (("train", 2), ("val", 1)):
        for name in ("cat", "dog"):
            for number in range(count):
                path = tmp_path / "photos" / part / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


def found(photos: Path) -> tuple[int, list[str]]:
    """Return the number of training images, and the notes with paths relative to the folder."""
    images = find_images(photos / "train", ["cat", "dog"])
    return len(images.files), [note.replace(str(photos), "photos") for note in images.notes]


def test_a_plain_folder_has_no_notes(photos: Path) -> None:
    assert found(photos) == (4, [])


@pytest.mark.parametrize("ending", sorted(ENDINGS))
def test_an_ending_of_each_format_is_taken(photos: Path, ending: str) -> None:
    write(photos / "train" / "cat" / f"one{ending}")
    write(photos / "train" / "dog" / f"two{ending.upper()}")
    assert found(photos) == (6, [])


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_each_format_has_an_ending_that_pillow_gives_it(kind: str) -> None:
    Image.init()
    known = {ending for ending, name in Image.registered_extensions().items() if name == kind}
    assert set(FORMATS[kind]) <= known | {".pnm"} or kind == "AVIF"


IGNORED = {
    "cat/indoor/1.jpg": "1 image in a subfolder of a class, such as `cat/indoor/1.jpg`",
    "cat/indoor/warm/1.png": "1 image in a subfolder of a class, such as `cat/indoor/warm/1.png`",
    "cat/x.jpg/y.jpg": "1 image in a subfolder of a class, such as `cat/x.jpg/y.jpg`",
    "cat/notes.txt": "1 file without an image's ending, such as `cat/notes.txt`",
    "cat/n0001": "1 file without an image's ending, such as `cat/n0001`",
    "cat/0.HEIC": "1 image in the format HEIC, such as `cat/0.HEIC`, which is not read: convert it to JPEG or PNG",
    "cat/1.nef": "1 image in the format camera raw, such as `cat/1.nef`, which is not read: convert it to JPEG or PNG",
    "cat/._0.png": "1 hidden file or folder, such as `cat/._0.png`",
    "cat/.thumbs/0.png": "1 hidden file or folder, such as `cat/.thumbs`",
    "__MACOSX/cat/._0.png": "1 hidden file or folder, such as `__MACOSX`",
    ".cache/0.png": "1 hidden file or folder, such as `.cache`",
    "0.png": "1 file outside of the class folders, such as `0.png`",
}


@pytest.mark.parametrize("name", IGNORED)
def test_what_is_ignored_is_counted_with_an_example(photos: Path, name: str) -> None:
    write(photos / "train" / name)
    assert found(photos) == (4, [f"ignored in `photos/train`: {IGNORED[name]}"])


def test_each_format_that_is_not_read_has_a_note_of_its_own(photos: Path) -> None:
    for name in ("a.heic", "b.heif", "c.txt", "d.jxl"):
        write(photos / "train" / "cat" / name)
    ignored = "ignored in `photos/train`: "
    count, notes = found(photos)
    assert count == 4
    assert [note.removeprefix(ignored) for note in notes] == [
        "2 images in the format HEIC, such as `cat/a.heic`, which is not read: convert them to JPEG or PNG",
        "1 image in the format JPEG XL, such as `cat/d.jxl`, which is not read: convert it to JPEG or PNG",
        "1 file without an image's ending, such as `cat/c.txt`",
    ]


def test_several_are_counted_by_kind(photos: Path) -> None:
    for number in range(3):
        write(photos / "train" / "dog" / "deep" / f"{number}.png")
        write(photos / "train" / "cat" / f"{number}.txt")
    assert found(photos) == (
        4,
        [
            "ignored in `photos/train`: 3 files without an image's ending, such as `cat/0.txt`; "
            "3 images in subfolders of classes, such as `dog/deep/0.png`"
        ],
    )


def test_links_and_what_is_no_file(photos: Path, tmp_path: Path) -> None:
    cat = photos / "train" / "cat"
    elsewhere = write(tmp_path / "elsewhere" / "1.png")
    (cat / "a-out.png").symlink_to(elsewhere)
    (cat / "b-broken.png").symlink_to(tmp_path / "gone.png")
    (cat / "c-folder").symlink_to(photos)
    (cat / "d.png").mkdir()
    os.mkfifo(cat / "e.png")
    (cat / "f-in.png").symlink_to(cat / "0.png")
    assert found(photos) == (
        6,
        [
            "ignored in `photos/train`: 1 broken link, such as `cat/b-broken.png`; 1 link to a folder, such as "
            "`cat/c-folder`; 1 folder named like an image, such as `cat/d.png`; 1 pipe or device, such as `cat/e.png`",
            "unusual in `photos/train`: 1 link to an image elsewhere, such as `cat/a-out.png`",
        ],
    )


def test_a_link_to_itself_is_ignored(photos: Path) -> None:
    for name in ("train/cat/loop.png", "train/loop"):
        (photos / name).symlink_to(Path(name).name)
    kinds = "1 broken link, such as `cat/loop.png`; 1 file outside of the class folders, such as `loop`"
    assert {*found(photos)[1][0].partition(": ")[2].split("; ")} == {*kinds.split("; ")}
    assert found(photos)[0] == 4


def test_a_class_folder_may_be_a_link(photos: Path, tmp_path: Path) -> None:
    (photos / "train" / "dog").rename(tmp_path / "dogs")
    (photos / "train" / "dog").symlink_to(tmp_path / "dogs")
    assert found(photos) == (
        4,
        ["unusual in `photos/train`: 2 links to images elsewhere, such as `dog/0.png`"],
    )


def test_names_that_differ_only_in_case_or_unicode_form(photos: Path) -> None:
    for name in ("A.png", "a.png", "e\u0301.png", "\u00e9.png"):
        write(photos / "train" / "cat" / name)
    (_, notes) = found(photos)
    assert notes == [
        "unusual in `photos/train`: 2 names that differ from others only in case or Unicode form, such as `cat/a.png`"
    ]
    images = find_images(photos / "train", ["Cat", "cat", "dog"])
    assert "1 name that" not in str(images.notes)
    assert "3 names that differ" in str(images.notes)


def test_a_folder_that_cannot_be_read_is_an_error(photos: Path) -> None:
    scan = os.scandir

    def refused(path: object) -> object:
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)  # type: ignore[call-overload]

    with mock.patch.object(os, "scandir", refused), pytest.raises(RecipeError) as error:
        sets_of(photos)
    assert f"permission denied: {photos}/train/dog" in error.value.diagnostics[0].message


def test_class_folders_are_sorted_and_not_hidden(photos: Path) -> None:
    for name in ("ant", ".git", "__MACOSX"):
        (photos / "train" / name).mkdir()
    assert class_folders(photos / "train") == ["ant", "cat", "dog"]


def sets_of(photos: Path, words: str = "") -> Sets:
    return open_sets(resolve(f'base resnet18; data folder "{photos}" size=32 {words}', data=True))


def test_classes_without_held_out_images_are_named(photos: Path) -> None:
    (photos / "val" / "dog" / "0.png").rename(photos / "val" / "dog" / "0.txt")
    assert f"`{photos}/val` has no images of 1 of 2 classes: `dog`" in sets_of(photos).notes
    (photos / "val" / "dog" / "0.txt").unlink()
    (photos / "val" / "dog").rmdir()
    assert sets_of(photos).notes == (f"`{photos}/val` has no images of 1 of 2 classes: `dog`",)


def test_a_class_without_training_images_says_what_is_in_its_folder(photos: Path) -> None:
    for number in (0, 1):
        (photos / "train" / "dog" / "deep").mkdir(exist_ok=True)
        (photos / "train" / "dog" / f"{number}.png").rename(photos / "train" / "dog" / "deep" / f"{number}.png")
    with pytest.raises(RecipeError, match=r"no images found in `.*train/dog`; ignored in .*2 images in subfolders"):
        sets_of(photos, "subfolders=skip")


def test_the_notes_are_printed_before_training_and_kept(photos: Path, tmp_path: Path) -> None:
    write(photos / "train" / "cat" / "notes.txt")
    (note,) = sets_of(photos).notes
    text = f'base timm:test_efficientnet; data folder "{photos}" size=32 workers=0; batch 4; epochs 1; lr 1e-4'
    told = Told()
    dry(Request(plan=resolve(text, data=True), device="cpu", listener=told))
    assert note in told.notes
    told = Told()
    run = recipe.run(text, out=tmp_path / "run", device="cpu", listener=told)
    assert note in told.notes
    assert note in json.loads((run.folder / "summary.json").read_text())["notes"]
