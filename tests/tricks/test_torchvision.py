"""`data torchvision`: the table agrees with torchvision, and images and labels are those that torchvision returns."""

from __future__ import annotations

import inspect
import json
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

import recipe
from recipe.base.errors import RecipeError
from recipe.data.appearance import Appearance
from recipe.data.images import Files, InMemory, Sets
from recipe.inference.datasets import open_sets, read_sets
from recipe.tricks import _torchvision
from recipe.tricks._torchvision_table import REFUSED, TABLE
from tests.helpers import bind
from tests.tricks.test_suggested import values


def opened(data: str) -> Sets:
    plan = bind(f"base resnet18; data torchvision {data}")
    assert plan.images is not None
    return read_sets(plan.images)


def said(data: str) -> str:
    with pytest.raises(RecipeError) as error:
        opened(data)
    (one,) = error.value.diagnostics
    assert one.code in ("E021", "E024", "E070")
    return f"{one.message}; {one.help}"


# ---- the table


def test_every_dataset_of_torchvision_is_read_or_refused() -> None:
    known = {*TABLE, *REFUSED}
    assert {name for name in datasets.__all__ if inspect.isclass(getattr(datasets, name))} <= known
    assert not {*TABLE} & {*REFUSED}


@pytest.mark.parametrize("name", TABLE)
def test_torchvision_accepts_the_splits_and_variants(name: str, tmp_path: Path) -> None:
    entry, make = TABLE[name], getattr(datasets, name)
    accepted = {word for kind in make.__mro__[:-1] for word in inspect.signature(kind.__init__).parameters}
    for split in entry.splits.values():
        for variant in entry.variants or (None,):
            arguments = {**split, **({entry.variant: variant} if entry.variant else {})}
            assert {*arguments} <= accepted
            with pytest.raises((RuntimeError, OSError)):  # a value that it doesn't know is a ValueError
                make(tmp_path / "nowhere", **arguments, **({} if entry.by_hand else {"download": False}))
    if entry.by_hand and "download" in accepted:
        with pytest.raises(ValueError, match="cannot be downloaded"):
            make(tmp_path, download=True)


# ---- arrays


def idx(path: Path, array: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def mnist(root: Path, prefixes: Sequence[str], name: str = "MNIST", first: int = 0, classes: int = 10) -> None:
    for seed, prefix in enumerate(prefixes):
        draw, count = np.random.default_rng(seed), 40 - 20 * seed
        idx(root / name / "raw" / f"{prefix}-images-idx3-ubyte", draw.integers(0, 256, (count, 28, 28)))
        idx(root / name / "raw" / f"{prefix}-labels-idx1-ubyte", first + np.arange(count) % classes)


@pytest.mark.parametrize("name", ["MNIST", "KMNIST", "FashionMNIST"])
def test_the_pixels_of_arrays_are_those_of_torchvision(name: str, tmp_path: Path) -> None:
    mnist(tmp_path, ("train", "t10k"), name)
    sets = opened(f'{name} root="{tmp_path}" size=28')
    assert (sets.classes, len(sets.names)) == (10, 10)
    assert isinstance(sets.train, InMemory)
    assert isinstance(sets.test, InMemory)
    theirs = getattr(datasets, name)(tmp_path, train=False)
    for number, (image, label) in enumerate(theirs):
        assert np.array_equal(sets.test.pixels[number].permute(1, 2, 0), np.asarray(image.convert("RGB")))
        assert (int(sets.test.labels[number]), sets.names[label]) == (label, theirs.classes[label])
    assert len(sets.train.labels) + len(sets.val.labels) == 40
    assert sets.external is sets.test  # in memory only once
    whole = opened(f'{name} root="{tmp_path}" size=28 val="test"')
    assert torch.equal(whole.val.pixels, sets.test.pixels)  # type: ignore[attr-defined]
    assert (len(whole.train.labels), whole.test) == (40, None)


def test_a_variant_and_labels_that_start_at_1(tmp_path: Path) -> None:
    mnist(tmp_path, ("emnist-letters-train", "emnist-letters-test"), "EMNIST", 1, 26)
    sets = opened(f'EMNIST root="{tmp_path}" variant="letters" size=32')
    assert (sets.names[:2], sets.classes) == (("a", "b"), 26)
    assert (int(sets.train.labels.min()), int(sets.train.labels.max())) == (0, 25)


@pytest.mark.parametrize("data", ["CIFAR100", "STL10", "SVHN", "USPS", "SEMEION", "QMNIST", "FER2013"])
def test_arrays_of_every_layout(data: str, tmp_path: Path) -> None:
    shape = {"CIFAR100": (30, 32, 32, 3), "STL10": (30, 3, 96, 96), "SVHN": (30, 3, 32, 32)}.get(data, (30, 16, 16))
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    labels = np.arange(30) % 3
    attribute = "labels" if data in ("STL10", "SVHN", "SEMEION") else "targets"
    made: Any = mock.Mock(spec=["data", attribute], data=pixels, **{attribute: labels})
    if data == "QMNIST":
        made.targets = torch.tensor([[label, 7, 7] for label in labels.tolist()])
    if data == "FER2013":
        pairs = zip(torch.from_numpy(pixels), labels.tolist(), strict=True)
        made = mock.Mock(spec=["_samples"], _samples=[*pairs])
    with mock.patch.object(datasets, data, return_value=made):
        sets = opened(f'{data} root="{tmp_path}" size=16 val=50%')
    assert isinstance(sets.external or sets.val, InMemory)
    assert sets.names == ("0", "1", "2")
    original = sets.train.original if sets.train.original is not None else sets.train.pixels  # type: ignore[attr-defined]
    if pixels.ndim == 3:
        pixels = np.stack([pixels] * 3, 1)
    every = [image.tobytes() for image in (pixels if pixels.shape[1] == 3 else pixels.transpose(0, 3, 1, 2))]
    for image, label in zip(original.numpy(), sets.train.labels.tolist(), strict=True):
        assert labels[every.index(image.tobytes())] == label


# ---- files


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(path)


def write(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def classes_in(folder: Path, names: Sequence[str], file: str = "{}.jpg", count: int = 6) -> None:
    for label, name in enumerate(names):
        for number in range(count):
            picture(folder / name / file.format(number), 100 * label + number)


def caltech101(root: Path) -> None:
    folder = root / "caltech101" / "101_ObjectCategories"
    classes_in(folder, ("BACKGROUND_Google", "Faces", "ant"))
    for name in ("Faces", "ant"):
        for number in range(6):
            (folder / name / f"{number}.jpg").rename(folder / name / f"image_{number + 1:04d}.jpg")


def caltech256(root: Path) -> None:
    for label, name in enumerate(("001.ak47", "002.flag")):
        for number in range(6):
            picture(
                root / "caltech256" / "256_ObjectCategories" / name / f"{label + 1:03d}_{number + 1:04d}.jpg", number
            )


def dtd(root: Path) -> None:
    classes_in(root / "dtd" / "dtd" / "images", ("banded", "dotted"))
    for part, numbers in (("train", "0123"), ("val", "4"), ("test", "5")):
        lines = [f"{name}/{number}.jpg" for name in ("dotted", "banded") for number in numbers]
        write(root / "dtd" / "dtd" / "labels" / f"{part}1.txt", lines)


def food101(root: Path) -> None:
    classes_in(root / "food-101" / "images", ("apple_pie", "waffles"))
    for part, numbers in (("train", range(4)), ("test", (4, 5))):
        lines = {name: [f"{name}/{number}" for number in numbers] for name in ("waffles", "apple_pie")}
        write(root / "food-101" / "meta" / f"{part}.json", [json.dumps(lines)])


def pets(root: Path) -> None:
    folder = root / "oxford-iiit-pet"
    for part, first in (("trainval", 0), ("test", 6)):
        lines = []
        for number in range(6):
            name = f"{('Abyssinian', 'great_pyrenees')[number % 2]}_{first + number}"
            picture(folder / "images" / f"{name}.jpg", first + number)
            lines.append(f"{name} {number % 2 + 1} 1 1")
        write(folder / "annotations" / f"{part}.txt", lines)


def sun397(root: Path) -> None:
    names = ("a/abbey", "b/bar/indoor")
    classes_in(root / "SUN397", names, "sun_{}.jpg")
    write(root / "SUN397" / "ClassName.txt", [f"/{name}" for name in names])


def aircraft(root: Path) -> None:
    data = root / "fgvc-aircraft-2013b" / "data"
    write(data / "families.txt", ["A300", "Boeing 707"])
    for part, first in (("train", 0), ("val", 6), ("test", 12)):
        for number in range(6):
            picture(data / "images" / f"{first + number}.jpg", first + number)
        lines = [f"{first + number} {('A300', 'Boeing 707')[number % 2]}" for number in range(6)]
        write(data / f"images_family_{part}.txt", lines)


def gtsrb(root: Path) -> None:
    classes_in(root / "gtsrb" / "GTSRB" / "Training", ("00000", "00001"), "{}.ppm")
    classes_in(root / "gtsrb" / "GTSRB" / "Final_Test", ("Images",), "{}.ppm")
    lines = [f"{number}.ppm;24;20;{number % 2}" for number in range(6)]
    write(root / "gtsrb" / "GT-final_test.csv", ["Filename;Width;Height;ClassId", *lines])


def inaturalist(root: Path) -> None:
    names = [f"0000{label}_Animalia_B_C_D_E_F_g{label}" for label in (0, 1)]
    for part in ("2021_train", "2021_valid"):
        classes_in(root / part, names)


def eurosat(root: Path) -> None:
    classes_in(root / "eurosat" / "2750", ("Forest", "River"))


def country211(root: Path) -> None:
    for part in ("train", "valid", "test"):
        classes_in(root / "country211" / part, ("AD", "ZW"))


def imagenette(root: Path) -> None:
    for part in ("train", "val"):
        classes_in(root / "imagenette2-160" / part, ("n01440764", "n03888257"), "{}.jpeg")


def rendered(root: Path) -> None:
    for part in ("train", "valid", "test"):
        classes_in(root / "rendered-sst2" / part, ("negative", "positive"), "{}.png")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "Caltech101": caltech101,
    "Caltech256": caltech256,
    "Country211": country211,
    "DTD": dtd,
    "EuroSAT": eurosat,
    'FGVCAircraft variant="family"': aircraft,
    "Food101": food101,
    "GTSRB": gtsrb,
    "INaturalist": inaturalist,
    'Imagenette variant="160px"': imagenette,
    "OxfordIIITPet": pets,
    "RenderedSST2": rendered,
    "SUN397": sun397,
}


@pytest.mark.parametrize("data", LAYOUTS)
def test_files_and_labels_are_those_of_torchvision(data: str, tmp_path: Path) -> None:
    LAYOUTS[data](tmp_path)
    name, entry = data.split()[0], TABLE[data.split()[0]]
    sets = opened(f'{data} root="{tmp_path}" size=32')
    assert isinstance(sets.train, Files)
    own = {"train": [sets.train], "val": [sets.val], "test": [sets.test]}
    if "val" not in entry.splits:
        own = {"train": [sets.train, sets.val], "val": [], "test": [sets.test]}
    variant = {entry.variant: "family" if name == "FGVCAircraft" else "160px"} if '"' in data else {}
    for part, split in entry.splits.items():
        theirs = getattr(datasets, name)(tmp_path, **split, **variant)
        expected = sorted((label, np.asarray(image).tobytes()) for image, label in theirs)
        found = [
            (int(label), np.asarray(Image.open(path).convert("RGB")).tobytes())
            for images in own[part]
            for path, label in zip(images.paths, images.labels, strict=True)  # type: ignore[union-attr]
        ]
        assert sorted(found) == expected
        assert len(expected) >= 2
    assert len({*sets.names}) == sets.classes == 2


def test_splits_of_different_classes_are_refused(tmp_path: Path) -> None:
    dtd(tmp_path)
    write(tmp_path / "dtd" / "dtd" / "labels" / "val1.txt", ["dotted/4.jpg"])
    assert "`val` has other classes than `train`" in said(f'DTD root="{tmp_path}"')


# ---- statements


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("VOCDetection", "does not accept `VOCDetection`: it is for detection"),
        ("CelebA", "does not accept `CelebA`: its images have several labels"),
        ("ImageFolder", "does not accept `ImageFolder`: write `data folder`"),
        ("cifar100", "does not accept `cifar100`; did you mean `CIFAR100`?"),
        ('EMNIST variant="capitals"', "`EMNIST` has no variant `capitals`; its variants: `balanced`, `byclass`"),
        ('MNIST variant="x"', "`MNIST` has no variant `x`; its variants: none"),
        ('MNIST val="validation"', "`MNIST` has no split `validation` for `val=`; it has `train`, `test`"),
        ('MNIST val="test" test="test"', "the split `test` is stated for `val=` and `test=`"),
        ('MNIST group="{}_*"', "`MNIST` has no names of files for `group=`: it is read into memory"),
        ("MNIST val=50% test=50%", "so there are none to train on"),
        ('MNIST root="nowhere"', "nowhere`: there is no such folder; add `download=true`"),
        ('FER2013 root="nowhere"', "put them there as torchvision's documentation of `FER2013` describes"),
    ],
)
def test_what_is_refused(data: str, message: str) -> None:
    assert message in said(data)


def test_fields_for_files_have_no_effect_on_images_in_memory() -> None:
    found = bind("base resnet18; data torchvision MNIST size=32 workers=0 on-error=skip background=black").warnings
    assert [one.message for one in found] == [
        "`workers=` has no effect: `MNIST` is read into memory",
        "`on-error=` has no effect: `MNIST` is read into memory",
        "`background=` has no effect: `MNIST` is read into memory",
    ]
    assert not bind("base resnet18; data torchvision MNIST").warnings
    assert not bind('base resnet18; data torchvision DTD workers=0 group="{}_*"').warnings


def test_images_in_files_are_turned_and_shown_on_a_background_as_stated(tmp_path: Path) -> None:
    dtd(tmp_path)
    data = f'DTD root="{tmp_path}" size=32'
    for words, expected in (
        ("", Appearance("exif", "white")),
        ("orientation=stored background=black", Appearance("stored", "black")),
    ):
        sets = open_sets(bind(f"base resnet18; data torchvision {data} {words}"))
        assert isinstance(sets.train, Files)
        assert isinstance(sets.val, Files)
        assert (sets.train.appearance, sets.val.appearance) == (expected, expected)


def test_the_default_appearance_leaves_digests_as_they_were() -> None:
    for words, counted in (("", set()), ("orientation=stored background=black", {"orientation", "background"})):
        images = bind(f"base resnet18; data torchvision DTD {words}").images
        assert images is not None
        assert {"orientation", "background"} & images.identity().keys() == counted


def test_only_missing_files_are_downloaded_and_only_if_stated(tmp_path: Path) -> None:
    asked = []

    class Made:
        def __init__(self, root: str, train: bool, download: bool) -> None:
            asked.append((train, download))
            if not download:
                raise RuntimeError("Dataset not found. You can use download=True to download it")
            raise OSError("no\nnetwork")

    with mock.patch.object(datasets, "KMNIST", Made):
        assert said(f'KMNIST root="{tmp_path}"').startswith(
            f"the files of `KMNIST` are missing or damaged in `{tmp_path}`: Dataset not found; add `download=true`"
        )
        message = said(f'KMNIST root="{tmp_path}" download=true')
    assert message == f"`KMNIST` can't be downloaded to `{tmp_path}`: no network; "
    assert asked == [(True, False), (True, False), (True, True)]


def test_errors_about_missing_files_say_where_they_can_be(tmp_path: Path) -> None:
    where = "or name another folder with `root=` that has them in"
    fashion = said(f'FashionMNIST root="{tmp_path}"')
    assert fashion.endswith(f"{where} `FashionMNIST/raw`; `data fashion-mnist` reads the same files from any folder")
    assert said(f'MNIST root="{tmp_path / "none"}"').endswith(
        f"there is no such folder; add `download=true` to download them there, {where} `MNIST/raw`"
    )
    assert said(f'CIFAR10 root="{tmp_path}"').endswith("`data cifar10` reads the same files from any folder")


def test_a_name_that_is_also_a_trick_is_recognized() -> None:
    with pytest.raises(RecipeError) as error:
        bind("base resnet18; data torchvision fashion-mnist")
    first, _ = error.value.diagnostics
    assert (first.message, first.help) == (
        "`data torchvision` needs a value for `dataset`",
        "did you mean `FashionMNIST`?",
    )


def test_the_default_folder_is_next_to_the_weights_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert Path(_torchvision.default_root()) == Path(torch.hub.get_dir()).parent / "datasets"


def test_suggestions_need_no_files() -> None:
    of_mnist, of_pets = (values(bind(f"base resnet18; data torchvision {name}")) for name in ("MNIST", "OxfordIIITPet"))
    assert (of_mnist["data torchvision size"], of_mnist["batch total"]) == (32, 128)
    assert (of_pets.get("data torchvision size"), of_pets["batch total"]) == (None, 64)
    assert values(bind("base vit_b_16; data torchvision STL10")).get("data torchvision size") is None
    assert (
        bind("base resnet18; data torchvision MNIST").digest
        == bind('base resnet18; data torchvision MNIST root="x"').digest
    )


def test_a_run_resumes(tmp_path: Path) -> None:
    mnist(tmp_path, ("train", "t10k"))
    text = f'base timm:test_resnet; data torchvision MNIST root="{tmp_path}" size=32; batch 8; epochs 1; lr 1e-3'
    run = recipe.run(text, out=tmp_path / "run", device="cpu")
    assert run.summary["test"]["images"] == 20
    assert recipe.load(tmp_path / "run").evaluate().names[3] == "3 - three"
    assert recipe.run(text, out=tmp_path / "run", device="cpu", resume=True).metrics == run.metrics
