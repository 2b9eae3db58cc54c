"""Which folders have the images of each part, what is split off, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

import recipe
from recipe.base.errors import RecipeError
from recipe.base.source import Source
from recipe.data.layout import FolderLayout
from recipe.data.parts import FileParts
from recipe.plan.bind import bind as bind_sources
from recipe.plan.bind import resolve
from recipe.training.engine import Request, dry
from tests.data.test_folders import Told
from tests.helpers import bind, vocabulary
from tests.inference.helpers import COLORS, paint


def write(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def parts(path: Path | None, **stated: object) -> FileParts:
    """Return the parts of a folder. ``stated`` are other fields than their defaults."""
    fields = dict.fromkeys(("train", "val", "test", "group")) | {"seed": 0, "subfolders": "join"} | stated
    return FolderLayout(path=None if path is None else str(path), **fields).parts()  # type: ignore[arg-type]


def names(found: Iterable[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in found]


def flat(root: Path, count: int = 20) -> Path:
    """Write two classes of images that are not split."""
    return write(root, *(f"{name}/{number}.png" for name in ("cat", "dog") for number in range(count)))


# ---- where the parts are


@pytest.mark.parametrize(
    "folders",
    [
        ("train", "val", "test"),
        ("training", "valid", "testing"),
        ("Train", "Validation", "Test"),
        ("train", "dev", "eval"),
    ],
)
def test_the_usual_names_of_the_parts(tmp_path: Path, folders: tuple[str, str, str]) -> None:
    write(tmp_path, *(f"{part}/{name}/1.png" for part in folders for name in ("cat", "dog")))
    found = parts(tmp_path)
    assert found.classes == ("cat", "dog")
    assert found.test is not None
    several = zip(folders, (found.train, found.val, found.test), strict=True)
    assert all(
        names(part.files, tmp_path) == [f"{folder}/cat/1.png", f"{folder}/dog/1.png"] for folder, part in several
    )
    assert found.external is None
    assert found.notes == ()


def test_a_part_may_be_named(tmp_path: Path) -> None:
    flat(tmp_path / "a"), flat(tmp_path / "b" / "held", 3), flat(tmp_path / "c", 2)
    found = parts(None, train=str(tmp_path / "a"), val=str(tmp_path / "b" / "held"), test=str(tmp_path / "c"))
    assert found.test is not None
    assert [len(part.files) for part in (found.train, found.val, found.test)] == [40, 6, 4]
    assert found.notes == ()


def test_20_percent_are_held_out_if_nothing_else_is_said(tmp_path: Path) -> None:
    found = parts(flat(tmp_path))
    held_out = len(found.val.files)
    assert 0 < held_out < 20
    assert len(found.train.files) + held_out == 40
    assert not {*found.train.files} & {*found.val.files}
    assert found.notes == (
        f"held-out images: {held_out} of the 40 in `{tmp_path}`, 20 % by their names, since no others are stated",
    )
    assert found.external is not None
    assert len(found.external.files) == 40
    assert parts(tmp_path, val=0.2).val == found.val
    assert parts(tmp_path, val=0.2).external is None


def test_a_split_depends_on_nothing_but_names(tmp_path: Path) -> None:
    one, other = flat(tmp_path / "one"), flat(tmp_path / "other" / "train")
    held_out = names(parts(one).val.files, one)
    assert names(parts(other.parent).val.files, other) == held_out
    write(other, *(f"cat/new-{number}.png" for number in range(30)))
    later = names(parts(other.parent).val.files, other)
    assert [name for name in later if "new" not in name] == held_out
    assert names(parts(one, seed=1).val.files, one) != held_out


def test_all_parts_of_one_folder(tmp_path: Path) -> None:
    found = parts(flat(tmp_path), val=0.25, test=0.25)
    assert found.test is not None
    several = [{*part.files} for part in (found.train, found.val, found.test)]
    assert sum(map(len, several)) == len(set.union(*several)) == 40
    assert all(several)


def test_a_folder_and_a_share(tmp_path: Path) -> None:
    flat(tmp_path / "train"), flat(tmp_path / "val", 3)
    found = parts(tmp_path, test=0.25)
    assert found.test is not None
    assert len(found.val.files) == 6
    assert len(found.train.files) + len(found.test.files) == 40


def test_a_share_takes_the_place_of_a_folder_and_that_is_said(tmp_path: Path) -> None:
    flat(tmp_path / "train"), flat(tmp_path / "val", 3)
    found = parts(tmp_path, val=0.25)
    assert all(path.is_relative_to(tmp_path / "train") for path in found.val.files)
    assert found.notes[0] == f"ignored in `{tmp_path}`: `val`"


def test_a_model_of_elsewhere_is_evaluated_on_the_test_if_nothing_is_held_out(tmp_path: Path) -> None:
    flat(tmp_path / "train"), flat(tmp_path / "test", 3)
    found = parts(tmp_path)
    assert found.external == found.test


def test_images_to_train_on_may_be_missing(tmp_path: Path) -> None:
    found = parts(flat(tmp_path / "val").parent)
    assert (len(found.train.files), len(found.val.files)) == (0, 40)
    assert found.notes == (f"all images of `{tmp_path / 'val'}` are held out: there are none to train on",)


# ---- what is said


def test_what_is_next_to_the_parts_is_said(tmp_path: Path) -> None:
    flat(tmp_path / "train"), flat(tmp_path / "val")
    write(tmp_path, "labels.csv", "extra/cat/1.png", ".cache/1")
    assert parts(tmp_path).notes == (f"ignored in `{tmp_path}`: `extra`, `labels.csv`",)


def test_a_test_folder_without_classes_is_not_used(tmp_path: Path) -> None:
    flat(tmp_path / "train"), flat(tmp_path / "val"), write(tmp_path, "test/1.png")
    found = parts(tmp_path)
    assert found.test is None
    test = tmp_path / "test"
    why = f"images but no class folders found in `{test}`, which by its name has the test images"
    assert found.notes == (f"`{test}` is not used: {why}",)
    with pytest.raises(FileNotFoundError, match="no class folders found in"):
        parts(tmp_path, test=str(tmp_path / "test"))


def test_classes_without_held_out_images_are_named(tmp_path: Path) -> None:
    write(flat(tmp_path), "owl/1.png")
    assert parts(tmp_path).notes[-1] == "no held-out images of 1 of 3 classes: `owl`"
    flat(tmp_path / "apart"), write(tmp_path / "apart", "owl/1.png"), flat(tmp_path / "other")
    notes = parts(None, train=str(tmp_path / "apart"), val=str(tmp_path / "other")).notes
    assert notes == (f"`{tmp_path / 'other'}` has no images of 1 of 3 classes: `owl`",)


# ---- subfolders


NESTED = ("cat/1.png", "cat/wild/2.png", "cat/wild/big/3.png", "dog/house/4.png", "dog/readme.txt", "owl/5.png")


@pytest.mark.parametrize(
    ("subfolders", "taken", "note"),
    [
        (
            "join",
            {"cat": [1, 2, 3], "dog": [4], "owl": [5]},
            "unusual in `{}`: 3 images in subfolders of classes, such as `cat/wild/2.png`",
        ),
        (
            "classes",
            {"cat": [1], "cat/wild": [2], "cat/wild/big": [3], "dog/house": [4], "owl": [5]},
            "ignored in `{}`: 1 file without an image's ending, such as `dog/readme.txt`",
        ),
    ],
)
def test_subfolders_of_classes(tmp_path: Path, subfolders: str, taken: dict[str, list[int]], note: str) -> None:
    root = write(tmp_path / "train", *NESTED)
    shutil.copytree(root, tmp_path / "val")
    found = parts(tmp_path, subfolders=subfolders)
    seen: dict[str, list[int]] = {name: [] for name in found.classes}
    for path, label in zip(found.train.files, found.train.labels, strict=True):
        seen[found.classes[label]].append(int(path.stem))
    assert seen == taken
    assert note.format(root) in found.notes


def test_subfolders_are_skipped_if_that_is_stated(tmp_path: Path) -> None:
    write(tmp_path / "train", "cat/1.png", "cat/wild/2.png"), write(tmp_path / "val", "cat/1.png")
    found = parts(tmp_path, subfolders="skip")
    assert names(found.train.files, tmp_path) == ["train/cat/1.png"]
    said = "1 image in a subfolder of a class, such as `cat/wild/2.png`"
    assert found.notes == (f"ignored in `{tmp_path / 'train'}`: {said}",)


def test_a_folder_without_images_is_no_class_and_what_it_has_is_said(tmp_path: Path) -> None:
    write(tmp_path, "animals/cat/1.png", "animals/list.txt", "empty/list.txt")
    found = parts(
        tmp_path,
        subfolders="classes",
        val=str(shutil.copytree(tmp_path / "animals", tmp_path.parent / "v" / "animals").parent),
    )
    assert found.classes == ("animals/cat",)
    assert found.notes[0] == f"ignored in `{tmp_path}`: 2 files without an image's ending, such as `animals/list.txt`"


def test_a_subfolder_keeps_its_images_together_if_it_is_a_group(tmp_path: Path) -> None:
    write(tmp_path, *(f"cat/{case}/{number}.png" for case in range(20) for number in range(3)))
    found = parts(tmp_path, group="{}/*", val=0.3)
    sides = [{path.parent.name for path in part.files} for part in (found.train, found.val)]
    assert not sides[0] & sides[1]
    assert all(sides)


# ---- what is refused


def test_groups_in_several_parts_are_reported(tmp_path: Path) -> None:
    write(tmp_path, *(f"train/{name}/p{number}_1.png" for name in ("cat", "dog") for number in range(9)))
    write(tmp_path, *(f"val/{name}/{number}_2.png" for name in ("cat", "dog") for number in ("p1", "p2", "q3")))
    note = "2 groups in both the training images and the held-out images, so results may look too good: `p1`, `p2`"
    assert parts(tmp_path, group="{}_*").notes == (note,)
    split_off = parts(tmp_path, group="{}_*", test=0.4).notes
    assert any("40 % by their groups" in one for one in split_off)
    assert not any("training images and the test images" in one for one in split_off)
    assert parts(tmp_path, group="{}-*").notes == (
        "the training images have no groups to compare",
        "the held-out images have no groups to compare",
    )


def split(tmp_path: Path, *, train: str = "train", val: str = "val") -> None:
    flat(tmp_path / train), flat(tmp_path / val)


@pytest.mark.parametrize(
    ("make", "stated", "said"),
    [
        (lambda root: None, {}, "no class folders found in"),
        (lambda root: split(root), {"val": "{}/missing"}, "the folder `.*missing` does not exist"),
        (lambda root: flat(root), {"val": "{}/cat"}, "the held-out images in .*cat` are inside the folder of the"),
        (lambda root: flat(root), {"val": "{}/missing"}, "the held-out images in .*missing` are inside the folder of"),
        (lambda root: flat(root), {"train": "{}", "val": "{}"}, "the held-out images in .* are in the same folder as"),
        (lambda root: split(root), {"val": "{}/../link"}, "the held-out images in .*link` are in the same folder as"),
        (lambda root: split(root), {"test": "{}/val"}, "the test images in .*val` are in the same folder as the held"),
        (lambda root: split(root), {"seed": 3}, "`split-seed` has no effect, since no images are split off"),
        (lambda root: [split(root), flat(root / "valid")], {}, "several folders of held-out images, `val` and `valid`"),
        (lambda root: [split(root), write(root, "val/owl/1.png")], {}, "`owl` of .*val` has no folder in .*train"),
        (
            lambda root: [split(root), write(root, "t/owl/1.png")],
            {"test": "{}/t"},
            "class `owl` of .*t` has no folder in .*train",
        ),
        (lambda root: flat(root), {"val": 0.2, "group": "{{}}_*"}, "the group pattern `{}_.` does not match `0.png`"),
        (lambda root: flat(root, 1), {"val": 0.001}, "no held-out images: 0.1 % of 2 .*; state a larger"),
        (lambda root: flat(root / "val"), {"val": 0.2}, "there are no training images to split"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, make: object, stated: dict[str, object], said: str) -> None:
    root = tmp_path / "images"
    root.mkdir()
    (tmp_path / "link").symlink_to(root / "train")
    make(root)  # type: ignore[operator]
    stated = {name: value.format(root) if isinstance(value, str) else value for name, value in stated.items()}
    with pytest.raises((ValueError, OSError), match=said):
        parts(None if "train" in stated else root, **stated)


@pytest.mark.parametrize(
    ("statement", "code", "said"),
    [
        ("data folder", "E025", "`data folder` needs a folder of images"),
        ("data folder size=32", "E025", "`data folder` needs a folder of images"),
        ("data folder val=20%", "E025", "`data folder` needs a folder of images"),
        ('data folder val="v" test=20%', "E025", "`data folder` needs a folder of images"),
        ('data folder "x" val=60% test=40%', "E024", "so there are none to train on"),
        ('data folder "x" val=0', "E024", "a percentage above 0 and below 100, or a path in quotes, not `0`"),
        ('data folder "x" val=100%', "E024", "a percentage above 0 and below 100"),
        ('data folder "x" val=20', "E024", "a percentage above 0 and below 100"),
        ('data folder "x" val=held', "E023", "takes a percentage above 0 and below 100, or a path in quotes"),
        ('data folder "x" val=""', "E023", "takes a path, not an empty string"),
        ('data folder "x" group="a_*"', "E023", "a group pattern needs one `{}`"),
        ('data folder "x" group=a', "E023", "takes a pattern of paths, in quotes"),
        ('data folder "x" group=""', "E023", "takes a pattern of paths, not an empty string"),
        ('data folder "x" split-seed=0.5', "E023", "a whole number"),
        ('data folder "x" subfolders=keep', "E021", "does not accept `keep`"),
    ],
)
def test_what_a_recipe_cannot_state(statement: str, code: str, said: str) -> None:
    with pytest.raises(RecipeError) as error:
        bind(f"base resnet18; {statement}")
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == code
    assert said in diagnostic.message
    assert diagnostic.span is not None


# ---- recipes, plans and runs


def test_a_recipe_is_written_as_it_was_read(tmp_path: Path) -> None:
    text = 'base resnet18; data folder "x" val=12.5% test="t" group="{}_*" split-seed=7 subfolders=classes'
    plan = bind(text, folder=tmp_path)
    again = bind(plan.canonical())
    assert again.digest == plan.digest
    assert f'val=0.125 test="{tmp_path / "t"}" group="{{}}_*" split-seed=7 subfolders=classes' in again.canonical()


def test_whatever_moves_an_image_changes_the_digest() -> None:
    texts = ("", "val=20%", "val=30%", 'val="v"', "test=10%", "split-seed=1", 'group="{}_*"', "subfolders=skip")
    assert len({bind(f'base resnet18; data folder "x" {text}').digest for text in texts}) == len(texts)


def test_a_lock_from_before_keeps_its_digest_and_skips_subfolders() -> None:
    plan = bind('base resnet18; data folder "x" subfolders=skip orientation=stored background=ignored')
    assert plan.images is not None
    assert {*plan.images.identity()} == {"path", "size", "on_error"}  # as before there were other fields
    lock = Source("recipe.lock", f'# plan v2 {plan.digest}\nbase resnet18; data folder "x"', Path.cwd())
    assert lock.is_lock
    images = bind_sources([lock], vocabulary()).images
    assert images is not None
    assert images.values["subfolders"] == "skip"


@pytest.fixture
def colors(tmp_path: Path) -> Path:
    for label, name in enumerate(COLORS):
        paint(tmp_path / "colors" / name, name, 12, label)
    return tmp_path / "colors"


TEXT = 'base timm:test_resnet; data folder "{}" size=32 workers=0 {}; batch 8; epochs 1; lr 1e-3'


def test_a_split_is_said_before_training_and_kept_in_the_summary(colors: Path, tmp_path: Path) -> None:
    text = TEXT.format(colors, "")
    note = parts(colors).notes[0]
    told = Told()
    dry(Request(plan=resolve(text, data=True), device="cpu", listener=told))
    assert note in told.notes
    run = recipe.run(text, out=tmp_path / "run", device="cpu")
    assert note in json.loads((run.folder / "summary.json").read_text())["notes"]


def test_the_seed_does_not_touch_a_split_and_a_resumed_run_notices_another_one(colors: Path, tmp_path: Path) -> None:
    first = recipe.run(TEXT.format(colors, ""), "seed 1", out=tmp_path / "first", device="cpu")
    second = recipe.run(TEXT.format(colors, ""), "seed 2", out=tmp_path / "second", device="cpu")
    assert (first.folder / "data.json").read_text() == (second.folder / "data.json").read_text()
    for words in ("split-seed=1", "val=50%"):
        with pytest.raises(RecipeError, match="E113"):
            recipe.run(TEXT.format(colors, words), "seed 1", out=tmp_path / "first", device="cpu", resume=True)
    paint(colors / "new", "red", 1, 0)
    paint(colors / "blue", "blue", 14, 0)
    shutil.rmtree(colors / "new")
    with pytest.raises(RecipeError, match=r"E113.*there are \d+ training images instead of"):
        recipe.run(TEXT.format(colors, ""), "seed 1", out=tmp_path / "first", device="cpu", resume=True)
