"""Which folders are taken for those of the parts by their names, and which may be classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipe.data.part_folders import named_parts
from tests.data.test_layout import flat, parts, write


def test_a_folder_is_found_by_its_usual_names(tmp_path: Path) -> None:
    assert named_parts(tmp_path) == {}
    (tmp_path / "Valid").mkdir()
    (tmp_path / "test").write_text("no folder")
    assert named_parts(tmp_path) == {"val": tmp_path / "Valid"}


def test_two_folders_for_one_part_are_an_error_unless_one_is_stated(tmp_path: Path) -> None:
    for name in ("train", "valid", "val"):
        flat(tmp_path / name)
    said = "several folders of held-out images, `val` and `valid`: name one with `val=`"
    with pytest.raises(ValueError, match=said):
        parts(tmp_path)
    found = parts(tmp_path, val=str(tmp_path / "valid"))
    assert all(path.is_relative_to(tmp_path / "valid") for path in found.val.files)


@pytest.mark.parametrize("name", ["train", "training", "val", "Valid", "validation", "test", "testing"])
def test_a_class_named_like_a_part_is_refused_with_what_to_write(tmp_path: Path, name: str) -> None:
    write(flat(tmp_path), f"{name}/1.png", f"{name}/2.png")
    with pytest.raises(ValueError, match=f"{name}` may have the images of a part, or .* as `cat`, `dog` do") as error:
        parts(tmp_path)
    assert f'write `train="{tmp_path}"` instead of the path' in str(error.value)
    assert parts(None, train=str(tmp_path)).classes == tuple(sorted(("cat", "dog", name)))


def test_several_classes_named_like_parts_are_refused(tmp_path: Path) -> None:
    write(flat(tmp_path), "train/1.png", "valid/1.png", "val/1.png")
    with pytest.raises(ValueError, match=r"train`.*val`.*valid` may have the images of a part"):
        parts(tmp_path)


def test_a_part_next_to_folders_like_classes_is_said(tmp_path: Path) -> None:
    """As in a dataset of vehicles whose class `train` has subfolders."""
    write(flat(tmp_path), "train/steam/1.png", "train/steam/2.png", "train/diesel/1.png", "train/diesel/2.png")
    assert parts(tmp_path).notes[:2] == (
        f"ignored in `{tmp_path}`: `cat`, `dog`",
        "taken by name: `train` for the folder of the training images; if these are classes, write "
        f'`train="{tmp_path}"` instead of the path',
    )


def test_parts_without_class_folders_are_said_to_be_taken_by_name(tmp_path: Path) -> None:
    write(tmp_path, "train/1.png", "test/1.png")
    with pytest.raises(FileNotFoundError, match=r"no class folders found in .*train`, which by its name has the train"):
        parts(tmp_path)


def test_images_of_a_test_without_classes_leave_the_training_images_as_they_are(tmp_path: Path) -> None:
    flat(tmp_path / "train"), write(tmp_path, "test/1.png", "samples/1.png")
    assert parts(tmp_path).classes == ("cat", "dog")
