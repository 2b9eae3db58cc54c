"""`data hf`: the images and labels in datasets of Hugging Face, which are read like those of a folder."""

from __future__ import annotations

import io
import pickle
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image as Pictures

import recipe
from recipe.base.errors import RecipeError
from recipe.data.images import Files, Sets
from recipe.data.splits import Split
from recipe.inference.datasets import open_sets
from recipe.showing.api import show_data
from recipe.tricks import _hf
from recipe.tricks._hf_names import names_of
from tests.helpers import bind
from tests.tricks.test_suggested import values

datasets = pytest.importorskip("datasets")
huggingface_hub = pytest.importorskip("huggingface_hub")
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value  # noqa: E402


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty cache for each test, and no progress bars."""
    folder = tmp_path_factory.mktemp("hf")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "hub"))
    datasets.disable_progress_bars()
    return folder


def encoded(number: int) -> bytes:
    """Return the bytes of an image, each of another size, in one of several formats."""
    draw, file = np.random.default_rng(number), io.BytesIO()
    height, width = draw.integers(36, 60, size=2).tolist()
    mode, form = (("RGB", "JPEG"), ("L", "PNG"), ("CMYK", "JPEG"), ("RGB", "WEBP"), ("P", "GIF"))[number % 5]
    pixels = Pictures.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))
    pixels.convert(mode).save(file, form)
    return file.getvalue()


CLASSES = ("owl", "cat", "dog")
FEATURES = {"image": Image(), "label": ClassLabel(names=[*CLASSES])}


def rows(numbers: Sequence[int], features: dict[str, Any] | None = None, **columns: Sequence[Any]) -> Dataset:
    """Return a dataset with the images of these numbers, and with other columns than those of their classes."""
    named = bool(columns.pop("named", ()))
    cells = [{"bytes": encoded(number), "path": f"{number}.jpg" if named else None} for number in numbers]
    every = {"image": cells, "label": [number % 3 for number in numbers]} | columns
    return Dataset.from_dict(every, features=Features({**FEATURES, **(features or {})}))


def parquet(folder: Path, **splits: Dataset) -> Path:
    (folder / "data").mkdir(parents=True)
    for name, split in splits.items():
        split.to_parquet(folder / "data" / f"{name}-00000-of-00001.parquet")
    return folder


def opened(data: str) -> Sets:
    return open_sets(bind(f"base timm:test_resnet; {data} size=32"))


def said(data: str) -> str:
    with pytest.raises(RecipeError) as error:
        opened(data)
    (one,) = error.value.diagnostics
    assert one.code == "E070"
    return f"{one.message}; {one.help}"


def pixels(images: Any, boxer: Any = None) -> torch.Tensor:
    return images.fetch(np.arange(len(images.labels)), boxer)


# ---- images


@pytest.mark.parametrize(
    "words", ["", "; evaluation crop=whole", "; input interpolation=bicubic; evaluation views=ten-crop"]
)
def test_the_pixels_are_those_of_the_same_files_in_a_folder(tmp_path: Path, words: str) -> None:
    for number in range(12):
        path = tmp_path / "photos" / ("train", "val")[number > 5] / CLASSES[number % 3] / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(number))
    parquet(tmp_path / "rows", train=rows(range(6)), validation=rows(range(6, 12)))
    plan = f'base timm:test_resnet; data folder "{tmp_path / "photos"}" size=32{words}'
    in_files = open_sets(bind(plan))
    in_rows = open_sets(bind(plan.replace(f'folder "{tmp_path / "photos"}"', f'hf folder="{tmp_path / "rows"}"')))
    assert in_rows.names == CLASSES
    for part in ("train", "val"):
        one, other = getattr(in_files, part), getattr(in_rows, part)
        # a folder sorts its images by class
        order = sorted(range(6), key=lambda row: (CLASSES[other.labels[row]], row))
        assert [in_files.names[label] for label in one.labels] == [CLASSES[other.labels[row]] for row in order]
        expected = pixels(one).reshape(6, -1, 3, 32, 32)
        assert torch.equal(pixels(other).reshape(6, -1, 3, 32, 32)[order], expected)
        box = (lambda *_: np.array([3.5, 1, 20, 21.0])) if part == "train" else None
        assert torch.equal(pixels(other, box)[order], pixels(one, box)) or box is None


def test_images_are_read_in_another_process(tmp_path: Path) -> None:
    sets = opened(f'data hf folder="{parquet(tmp_path / "rows", train=rows(range(9)))}" val=30%')
    train = sets.train
    assert isinstance(train, Files)
    assert len(pickle.dumps(train)) < 10_000  # the images stay where they are
    again = pickle.loads(pickle.dumps(train))
    assert again.paths == train.paths
    assert torch.equal(pixels(again), pixels(train))


def test_a_folder_of_image_files_stays_one(tmp_path: Path) -> None:
    for number in range(8):
        path = tmp_path / "photos" / "train" / CLASSES[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(number))
    sets = opened(f'data hf folder="{tmp_path / "photos"}"')
    assert sets.names == ("cat", "owl")
    assert all(isinstance(path, Path) for path in (*sets.train.paths, *sets.val.paths))  # type: ignore[attr-defined]
    assert values(bind(f'base resnet18; data hf folder="{tmp_path / "photos"}"'))["batch total"] == 16


def test_a_damaged_image_is_named_and_may_be_skipped(tmp_path: Path) -> None:
    broken = rows(range(6)).to_dict()
    broken["image"][4]["bytes"] = b"no image"
    folder = parquet(
        tmp_path / "rows", train=Dataset.from_dict(broken, features=Features(FEATURES)), test=rows([6, 7, 8])
    )
    text = f'data hf folder="{folder}" val="test"'
    with pytest.raises(RecipeError, match=f"the image `{folder}: train/4` can't be decoded"):
        pixels(opened(text).train)
    done = show_data(f"base resnet18; {text}")
    assert [one.member.image for one in done.unreadable] == [f"{folder}: train/4"]


# ---- parts


def test_parts_have_the_usual_names(tmp_path: Path) -> None:
    splits = {"train": rows(range(6)), "validation": rows(range(6, 9)), "test": rows(range(9, 12))}
    sets = opened(f'data hf folder="{parquet(tmp_path / "rows", **splits)}"')
    assert sets.test is not None
    assert [len(part.labels) for part in (sets.train, sets.val, sets.test)] == [6, 3, 3]
    assert sets.external is None
    (tmp_path / "other").mkdir()
    for name, split in zip(("train", "dev", "evaluation"), splits.values(), strict=True):
        split.to_parquet(tmp_path / "other" / f"{name}.parquet")
    DatasetDict(train=splits["train"], dev=splits["validation"], eval=splits["test"]).save_to_disk(tmp_path / "named")
    for folder in ("other", "named"):
        again = opened(f'data hf folder="{tmp_path / folder}"')
        assert again.test is not None
        assert torch.equal(pixels(again.val), pixels(sets.val))
        assert torch.equal(pixels(again.test), pixels(sets.test))
    DatasetDict(splits).save_to_disk(tmp_path / "saved")
    saved = opened(f'data hf folder="{tmp_path / "saved"}" train="test" val="train" test="validation"')
    assert torch.equal(pixels(saved.train), pixels(sets.test))
    assert values(bind(f'base resnet18; data hf folder="{tmp_path / "saved"}"'))["batch total"] == 16


@pytest.mark.parametrize("named", [False, True])
def test_20_percent_are_held_out_by_the_hash_of_class_and_name(tmp_path: Path, named: bool) -> None:
    columns = {"named": [True]} if named else {}
    sets = opened(f'data hf folder="{parquet(tmp_path / "rows", train=rows(range(60), **columns))}"')
    names = [f"{number}.jpg" if named else str(number) for number in range(60)]
    expected = Split(val=0.2).divide(CLASSES, [number % 3 for number in range(60)], names)["val"]
    assert [path.name for path in sets.val.paths] == [f"train/{number}" for number in expected]  # type: ignore[attr-defined]
    assert sets.external is not None
    assert len(sets.external.labels) == 60
    by = "by their names" if named else "by their row numbers"
    assert any(
        f"of the 60 in `train` of `{tmp_path / 'rows'}`, 20 % {by}, since no others are stated" in note
        for note in sets.notes
    )


def test_names_are_the_same_on_every_machine(tmp_path: Path) -> None:
    for number in range(60):
        path = tmp_path / "photos" / "train" / CLASSES[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(number))
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    sets = [opened(f'data hf folder="{tmp_path / name}"') for name in ("photos", "link")]
    sides = [{path.name for path in each.val.paths} for each in sets]  # type: ignore[attr-defined]
    assert sides[0] == sides[1]
    assert all(any("20 % by their names" in note for note in each.notes) for each in sets)
    assert names_of([str(tmp_path / "elsewhere" / "1.jpg")], str(tmp_path / "link")) == [""]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("{home}/hub/datasets--o--n/snapshots/0123/train/cat/1.jpg", "train/cat/1.jpg"),
        ("{home}/datasets/downloads/extracted/{home}/train/cat/1.jpg", ""),
        ("zip://train/cat/1.jpg::{home}/train.zip", ""),
        ("1.jpg", "1.jpg"),
    ],
)
def test_names_of_the_hub_are_those_in_the_repository(path: str, name: str) -> None:
    assert names_of([path.format(home=home) for home in ("/home/ann", "/mnt/bob")], None) == [name, name]


def test_a_column_keeps_groups_on_one_side(tmp_path: Path) -> None:
    patients = [f"p{number // 4}" for number in range(60)]
    train = rows(range(60), {"patient": Value("string")}, patient=patients)
    sets = opened(f'data hf folder="{parquet(tmp_path / "rows", train=train)}" group="patient" test=20%')
    assert sets.test is not None
    sides = [{patients[path.index] for path in part.paths} for part in (sets.train, sets.val, sets.test)]  # type: ignore[attr-defined]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 15
    assert all(sides)
    assert any("20 % by their groups" in note for note in sets.notes)


def test_groups_in_several_parts_are_reported(tmp_path: Path) -> None:
    kind = {"patient": Value("string")}
    train = rows(range(6), kind, patient=["p1", "p1", "p2", "p2", "p3", "p3"])
    splits = {"train": train, "validation": rows(range(3), kind, patient=["p1", "p4", "p4"]), "test": rows(range(3))}
    DatasetDict(splits).save_to_disk(tmp_path / "a")
    assert opened(f'data hf folder="{tmp_path / "a"}" group="patient"').notes[-2:] == (
        "1 group in both the training images and the held-out images, so results may look too good: `p1`",
        "the test images have no groups to compare",
    )


def test_labels_may_be_texts_or_numbers(tmp_path: Path) -> None:
    kinds = {"label": Value("string"), "number": Value("int64")}
    texts, numbers = [("b", "a")[number % 2] for number in range(6)], [10, 9, 10, 9, 10, 9]
    train = rows(range(6), kinds, label=texts, number=numbers)
    folder = parquet(tmp_path / "rows", train=train)
    assert opened(f'data hf folder="{folder}" val=50%').names == ("a", "b")
    assert opened(f'data hf folder="{folder}" val=50% label="number"').names == ("9", "10")


def test_a_test_without_labels_is_not_used(tmp_path: Path) -> None:
    hidden = rows(range(3), label=[-1, -1, -1])
    folder = parquet(tmp_path / "rows", train=rows(range(6)), validation=rows(range(3)), test=hidden)
    sets = opened(f'data hf folder="{folder}"')
    assert sets.test is None
    assert f"`{folder}`: the split `test` is not used, since it has no labels" in sets.notes
    assert f"`{folder}` has images without a label in the split `test`, 3 of 3: row 0, 1, 2" in said(
        f'data hf folder="{folder}" test="test"'
    )


NAMED = {"label": ClassLabel(names=["cat", "dog"])}


@pytest.mark.parametrize(
    ("kind", "labels", "expected"),
    [
        (ClassLabel(names=["dog", "cat"]), [0, 1, 0], [1, 0, 1]),
        (ClassLabel(names=["owl", "dog", "cat"]), [1, 2, 1], [1, 0, 1]),
        (Value("string"), ["dog", "cat", "dog"], [1, 0, 1]),
    ],
)
def test_each_split_has_class_names_of_its_own(
    tmp_path: Path, kind: Any, labels: list[Any], expected: list[int]
) -> None:
    train = rows(range(6), NAMED, label=[0, 1] * 3)
    DatasetDict({"train": train, "test": rows(range(3), {"label": kind}, label=labels)}).save_to_disk(tmp_path / "a")
    sets = opened(f'data hf folder="{tmp_path / "a"}"')
    assert sets.test is not None
    assert (sets.names, sets.test.labels.tolist()) == (("cat", "dog"), expected)


@pytest.mark.parametrize(
    ("kind", "labels"), [(ClassLabel(names=["cat", "dog", "owl"]), [0, 2, 2]), (Value("string"), ["cat", "owl", "owl"])]
)
def test_a_class_that_training_lacks_is_named(tmp_path: Path, kind: Any, labels: list[Any]) -> None:
    train = rows(range(6), NAMED, label=[0, 1] * 3)
    DatasetDict({"train": train, "test": rows(range(3), {"label": kind}, label=labels)}).save_to_disk(tmp_path / "a")
    why = "has images of classes that the split `train` lacks, such as `owl`, in the split `test`, 2 of 3: row 1, 2"
    assert why in said(f'data hf folder="{tmp_path / "a"}"')


def test_a_split_without_the_column_of_labels(tmp_path: Path) -> None:
    splits = {"train": rows(range(6)), "validation": rows(range(3)), "test": rows(range(3)).remove_columns("label")}
    DatasetDict(splits).save_to_disk(tmp_path / "a")
    sets = opened(f'data hf folder="{tmp_path / "a"}"')
    assert sets.test is None
    assert f"`{tmp_path / 'a'}`: the split `test` is not used, since it has no labels" in sets.notes
    why = "has no column `label` in the split `test`; it has `image`"
    assert why in said(f'data hf folder="{tmp_path / "a"}" test="test"')


def test_empty_splits_are_not_used(tmp_path: Path) -> None:
    none = rows(range(1)).select([])
    DatasetDict({"train": rows(range(6)), "test": none}).save_to_disk(tmp_path / "a")
    sets = opened(f'data hf folder="{tmp_path / "a"}"')
    assert sets.test is None
    assert f"`{tmp_path / 'a'}`: the split `test` is not used, since it has no images" in sets.notes
    assert "has no images in the split `test` for `test=`" in said(f'data hf folder="{tmp_path / "a"}" test="test"')
    DatasetDict({"train": none}).save_to_disk(tmp_path / "b")
    assert said(f'data hf folder="{tmp_path / "b"}"').startswith(f"`{tmp_path / 'b'}` has no images; ")


def test_a_share_needs_none_of_several_splits(tmp_path: Path) -> None:
    DatasetDict({name: rows(range(9)) for name in ("train", "valid", "validation")}).save_to_disk(tmp_path / "a")
    assert "has several splits for `val=`" in said(f'data hf folder="{tmp_path / "a"}"')
    sets = opened(f'data hf folder="{tmp_path / "a"}" val=30%')
    assert len(sets.train.labels) + len(sets.val.labels) == 9
    assert f"`{tmp_path / 'a'}`: splits that are not used: `valid`, `validation`" in sets.notes


# ---- what is refused


TWO = {name: ClassLabel(names=["x", "y"]) for name in "ab"}


@pytest.mark.parametrize(
    ("features", "columns", "words", "message"),
    [
        ({}, {}, 'label="lable"', "has no column `lable`; it has `image`, `label`"),
        (TWO | {"label": Value("int64")}, {"a": [0] * 6, "b": [0] * 6}, "", "has several columns of classes"),
        ({"second": Image()}, {"second": [None] * 6}, "", "has several columns of images; state one as `image=`"),
        ({}, {}, 'image="label"', "has no images in the column `label`"),
        ({"label": List(Value("int64"))}, {"label": [[0, 1]] * 6}, "", "has more than one label per image in"),
        ({"label": Value("float32")}, {"label": [0.5] * 6}, "", "has numbers that are not classes in"),
        ({}, {"label": [0, 1, None, 2, 0, 1]}, "", "has images without a label in the split `train`, 1 of 6: row 2"),
        ({}, {}, 'group="patient"', "has no column `patient`"),
        (
            {"patient": Value("string")},
            {"patient": ["p1", None, "p2", "", "p2", "p2"]},
            'group="patient"',
            "has images without a group in the split `train`, 2 of 6: row 1, 3",
        ),
        ({}, {}, 'val="validation"', "has no split `validation` for `val=`; it has `train`"),
    ],
)  # fmt: skip
def test_what_is_refused(
    tmp_path: Path, features: dict[str, Any], columns: dict[str, Any], words: str, message: str
) -> None:
    folder = parquet(tmp_path / "rows", train=rows(range(6), features, **columns))
    assert message in said(f'data hf folder="{folder}" {words}')


def test_a_saved_dataset_has_no_configurations(tmp_path: Path) -> None:
    DatasetDict({"train": rows(range(6))}).save_to_disk(tmp_path / "a")
    why = "was written by `save_to_disk`, so it has no configurations; remove `config=`"
    assert why in said(f'data hf folder="{tmp_path / "a"}" config="small"')


def test_a_folder_without_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("nothing")
    (tmp_path / "empty").mkdir()
    assert "can't be opened as a dataset of Hugging Face" in said(f'data hf folder="{tmp_path / "empty"}"')
    assert "does not exist" in said(f'data hf folder="{tmp_path / "nowhere"}"')


@pytest.mark.parametrize(
    ("statement", "code", "message"),
    [
        ("data hf", "E025", "needs either a name or a folder"),
        ('data hf "a/b" folder="c"', "E025", "needs either a name or a folder"),
        ('data hf "./photos"', "E023", 'a dataset is "OWNER/NAME", and a folder is `folder="PATH"`'),
        ('data hf "a/b" val=60% test=40%', "E024", "so there are none to train on"),
        (
            'data hf "a/b" val=validation',
            "E023",
            "a percentage above 0 and below 100, or the name of a split, in quotes",
        ),
        ('data hf "a/b" train="all" val="all"', "E024", "the split `all` is stated for `train=` and `val=`"),
        ('data hf "a/b" val="test" test="test"', "E024", "the split `test` is stated for `val=` and `test=`"),
        ('data hf "a/b" val=120%', "E024", "a percentage above 0 and below 100"),
    ],
)
def test_what_a_recipe_cannot_state(statement: str, code: str, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        bind(f"base resnet18; {statement}")
    (one,) = error.value.diagnostics
    assert (one.code, message in one.message) == (code, True)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hf, "is_installed", lambda: False)
    assert "need the package `datasets`; install it with `pip install '.[hf]'` in the clone" in said('data hf "a/b"')


# ---- the Hub


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def offline() -> Iterator[None]:
    """Let no test ask the Hub."""
    with mock.patch.object(huggingface_hub.HfApi, "dataset_info", side_effect=ConnectionError("no network")):
        yield


def downloaded(tmp_path: Path, cache: Path) -> None:
    """Put a dataset into the cache, as if it had been downloaded."""
    folder = parquet(tmp_path / "rows", train=rows(range(6)), test=rows(range(6, 9)))
    datasets.load_dataset(str(folder))
    (built,) = cache.glob("rows/default/0.0.0/*/")
    shutil.copytree(built, cache / "someone___birds" / "default" / "0.0.0" / COMMIT)
    for file in (cache / "someone___birds").rglob("rows-*.arrow"):
        file.rename(file.with_name(file.name.replace("rows-", "birds-")))


@pytest.mark.usefixtures("offline")
def test_a_dataset_that_is_not_downloaded_is_reported(cache: Path) -> None:
    message = said('data hf "someone/birds"')
    assert message.startswith(
        "`someone/birds` has not been downloaded, and the Hugging Face Hub can't be reached: no net"
    )
    assert f"it was looked for in `{cache}`" in message


@pytest.mark.usefixtures("offline")
def test_what_was_downloaded_needs_no_network(tmp_path: Path, cache: Path) -> None:
    downloaded(tmp_path, cache)
    sets = opened('data hf "someone/birds" val=50%')
    note = "`someone/birds` is what was downloaded before: the Hugging Face Hub can't be reached"
    assert (sets.notes[0], len(sets.train.labels) + len(sets.val.labels)) == (note, 6)
    assert len(opened(f'data hf "someone/birds@{COMMIT}" val=50%').train.labels) == len(sets.train.labels)
    other = said('data hf "someone/birds@main" val=50%')
    assert f"the revision `main` of `someone/birds` has not been downloaded, only `{COMMIT}`" in other


@pytest.mark.usefixtures("offline")
def test_a_branch_or_tag_that_was_downloaded_needs_no_network(tmp_path: Path, cache: Path) -> None:
    downloaded(tmp_path, cache)
    with (
        mock.patch.object(huggingface_hub.HfApi, "dataset_info", return_value=mock.Mock(sha=COMMIT)),
        mock.patch.object(datasets, "load_dataset", return_value=datasets.DatasetDict(train=rows(range(6)))),
    ):
        opened('data hf "someone/birds@v1" val=50%')
    assert (cache / "hub" / "datasets--someone--birds" / "refs" / "v1").read_text() == COMMIT
    assert len(opened('data hf "someone/birds@v1" val=50%').train.labels) > 0
    assert f"the revision `v2` of `someone/birds` has not been downloaded, only `{COMMIT}`" in said(
        'data hf "someone/birds@v2" val=50%'
    )


def test_the_revision_of_the_hub_is_reported_and_used(tmp_path: Path) -> None:
    found = {"train": rows(range(6))}
    with (
        mock.patch.object(huggingface_hub.HfApi, "dataset_info", return_value=mock.Mock(sha=COMMIT)) as asked,
        mock.patch.object(datasets, "load_dataset", return_value=datasets.DatasetDict(found)) as loaded,
    ):
        notes = opened('data hf "someone/birds" config="small" val=50%').notes
        opened('data hf "someone/birds@v1" val=50%')
    assert [call.kwargs["revision"] for call in asked.call_args_list] == [None, "v1"]
    assert loaded.call_args_list[0] == mock.call("someone/birds", "small", revision=COMMIT)
    assert notes[0] == f"`someone/birds` is at revision {COMMIT}: to keep it, write `someone/birds@{COMMIT}`"


@pytest.mark.parametrize(
    ("file", "trains"),
    [
        ("latest/train-00000-of-00001.parquet", True),
        ("contest/developer/interval.parquet", True),
        ("data/dev-00000.parquet", False),
        ("data/my_test.parquet", False),
        ("eval2.parquet", False),
        ("test_set/train/0.parquet", True),
    ],
)
def test_suggestions_count_the_files_of_training_images(tmp_path: Path, file: str, trains: bool) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    rows(range(3)).to_parquet(tmp_path / file)
    assert _hf.rows_in(str(tmp_path)) == 3 * trains


def test_suggestions_for_a_dataset_of_the_hub_never_change() -> None:
    assert values(bind('base resnet18; data hf "someone/birds"'))["batch total"] == 64


# ---- runs


def test_a_run_resumes_and_is_evaluated_on_the_same_images(tmp_path: Path) -> None:
    folder = parquet(tmp_path / "rows", train=rows(range(24)), test=rows(range(24, 30)))
    text = f'base timm:test_resnet; data hf folder="{folder}" size=32 workers=1; batch 8; epochs 1; lr 1e-3'
    run = recipe.run(text, out=tmp_path / "run", device="cpu")
    assert run.summary["test"]["images"] == 6
    evaluation = recipe.load(tmp_path / "run").evaluate()
    assert evaluation.names == CLASSES
    assert evaluation.images[0].startswith(f"{folder}: train/")
    shutil.rmtree(folder)
    kept = recipe.load(tmp_path / "run").evaluate()
    assert [image.partition(": ")[2] for image in evaluation.images] == [*kept.images]


@pytest.mark.usefixtures("offline")
def test_a_folder_is_not_taken_for_a_dataset_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library prefers a folder of that name in the working directory."""
    (tmp_path / "someone" / "shapes").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match="or the folder of that name here") as raised:
        opened('data hf "someone/shapes"')
    assert 'write `data hf folder="someone/shapes"`' in str(raised.value)
