"""A run keeps the classes and fingerprints of its data, and compares them whenever it meets its data again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import recipe
from recipe.api import Files, InMemory, Sets, Trick, integer, path, trick
from recipe.base import files
from recipe.base.errors import RecipeError
from recipe.base.sealed import write_sealed
from recipe.data import fingerprinting as fingerprints
from recipe.data.fingerprinting import fingerprint
from recipe.exporters.source_run import open_run
from recipe.runs.provenance import read_provenance
from recipe.training.reporting import Listener
from tests.helpers import command, vocabulary, vocabulary_with
from tests.training.helpers import train

RECIPE = "base timm:test_resnet; data folder PATH size=32 workers=0; batch 8; epochs 2; lr 0.01; precision fp32"


class Notes(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def paint(file: Path, shade: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(shade).integers(0, 60, (40, 40, 3))
    Image.fromarray((noise + shade).astype(np.uint8)).save(file)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images of cats, which are dark, and dogs, which are light: eight to train on and four held out."""
    for part, count in (("train", 4), ("val", 2)):
        for name, shade in (("cat", 20), ("dog", 180)):
            for number in range(count):
                paint(tmp_path / "photos" / part / name / f"{number}.png", shade + number)
    return tmp_path / "photos"


def text(photos: Path) -> str:
    return RECIPE.replace("PATH", f'"{photos}"')


def rename(photos: Path, name: str, to: str) -> None:
    for part in ("train", "val"):
        (photos / part / name).rename(photos / part / to)


def add_class(photos: Path) -> None:
    for part in ("train", "val"):
        paint(photos / part / "ape" / "0.png", 90)


def test_a_run_keeps_its_classes_preprocessing_and_data(photos: Path, tmp_path: Path) -> None:
    folder = train(tmp_path / "run", text=text(photos)).folder
    classes, preprocessing, data = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("classes", "preprocessing", "data")
    )
    assert (classes["count"], classes["names"]) == (2, ["cat", "dog"])
    assert (preprocessing["size"], preprocessing["crop"]) == (32, 0.875)
    assert len(preprocessing["mean"]) == len(preprocessing["std"]) == 3
    assert (data["training"]["images"], data["training"]["sampled"], data["held_out"]["images"]) == (8, 8, 4)


@pytest.mark.parametrize(
    "change", [lambda photos: rename(photos, "cat", "tabby"), add_class], ids=["renamed", "another class"]
)
def test_an_export_uses_the_classes_as_trained(photos: Path, tmp_path: Path, change: Callable[[Path], None]) -> None:
    """A later change of the class folders neither renames an output nor makes the run unreadable."""
    folder = train(tmp_path / "run", text=text(photos)).folder
    change(photos)
    run = open_run(folder, vocabulary())
    assert run.names == ("cat", "dog")
    done = command("export", folder, "--to", "safetensors", "--out", tmp_path / "x.safetensors")
    assert (done.status, done.stderr) == (0, "verified: logits equal the run's\n")


def test_an_export_needs_no_data(photos: Path, tmp_path: Path) -> None:
    folder = train(tmp_path / "run", text=text(photos)).folder
    photos.rename(tmp_path / "elsewhere")
    assert open_run(folder, vocabulary()).names == ("cat", "dog")


@pytest.mark.parametrize(
    "change", [add_class, lambda photos: photos.rename(photos.with_name("away"))], ids=["another class", "gone"]
)
def test_a_run_is_described_by_its_own_classes_and_images(
    photos: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folders = [
        train(tmp_path / name, f"lr {rate}", text=text(photos)).folder for name, rate in (("a", 0.01), ("b", 0.1))
    ]

    def told() -> list[dict[str, object]]:
        done = command("explain", folders[0], "--json"), command("diff", *folders, "--json")
        return [{**json.loads(found.stdout), "warnings": []} for found in done]

    before = told()
    change(photos)
    assert told() == before
    assert before[0]["classes"] == 2
    difference = recipe.diff(*folders)
    assert (difference.a.classes, difference.b.classes, difference.a.schedule.steps_per_epoch) == (2, 2, 1)
    assert difference.weights.loads_entirely
    other = json.loads(command("explain", folders[0], "seed 3", "--json").stdout)
    assert other["classes"] != 2  # it is no longer the run


@pytest.mark.parametrize("allow_changed", [False, True])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda photos: rename(photos, "cat", "tabby"), "`cat` is missing and `tabby` is new"),
        (add_class, "`ape` is new"),
    ],
    ids=["renamed", "another class"],
)
def test_a_run_with_other_classes_does_not_resume(
    photos: Path, tmp_path: Path, change: Callable[[Path], None], said: str, allow_changed: bool
) -> None:
    train(tmp_path / "run", text=text(photos))
    change(photos)
    more = ("epochs 4",) if allow_changed else ()
    with pytest.raises(RecipeError, match=f"E113.*the classes are not those that the run .* was trained on: {said}"):
        train(tmp_path / "run", *more, text=text(photos), resume=True, allow_changed=allow_changed)


CHANGES = {
    "another pixel": (lambda photos: paint(photos / "train/dog/0.png", 10), "the training images are different"),
    "one more": (lambda photos: paint(photos / "val/dog/9.png", 10), "there are 5 held-out images instead of 4"),
    "moved": (
        lambda photos: (photos / "train/dog/0.png").rename(photos / "train/cat/9.png"),
        "the labels of the training images are different",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_on_changed_images_resumes_only_if_told_so(photos: Path, tmp_path: Path, change: str) -> None:
    make, said = CHANGES[change]
    folder, notes = train(tmp_path / "run", text=text(photos)).folder, Notes()
    make(photos)
    with pytest.raises(RecipeError, match=f"E113.*the data has changed since the run in .* started: {said}"):
        train(folder, text=text(photos), resume=True)
    again = train(folder, "epochs 3", text=text(photos), resume=True, allow_changed=True, listener=notes)
    note = f"the data has changed from step 2 on: {said}"
    assert note in notes.notes
    assert note in again.summary["notes"]
    assert (folder / "data-until-000000002.json").is_file()
    train(folder, "epochs 3", text=text(photos), resume=True)


class Killed(BaseException):
    """The end of a process at once."""


class Killing(Listener):
    """Ends a run once it has written its first files."""

    def start(self, *_: object) -> None:
        raise Killed


@pytest.mark.parametrize("more", [(), ("epochs 3",)], ids=["same recipe", "another recipe"])
def test_what_has_changed_is_noted_even_if_the_process_is_killed(
    photos: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    folder = train(tmp_path / "run", text=text(photos)).folder
    (folder / "checkpoints" / "step-000000002.pt").unlink()
    (folder / "summary.json").unlink()
    (folder / "model.safetensors").unlink()
    made = {**json.loads((folder / "environment.json").read_text()), "python": "2.7"}
    made.pop("checksum")
    write_sealed(folder / "environment.json", made)
    paint(photos / "train/dog/0.png", 10)
    with pytest.raises(Killed):
        train(folder, *more, text=text(photos), resume=True, allow_changed=True, listener=Killing())
    notes = train(folder, *more, text=text(photos), resume=True).summary["notes"]
    for said in ("the data has changed from step 1 on: the training images are different", "instead of Python 2.7"):
        assert len([note for note in notes if said in note]) == 1, notes


def test_images_that_are_skipped_are_forgotten_once_the_data_has_changed(photos: Path, tmp_path: Path) -> None:
    """Otherwise a repaired image still counts, and the image that now has its index is skipped without a word."""
    skipping = text(photos).replace("workers=0", "workers=0 on-error=skip")
    (photos / "train/cat/1.png").write_bytes(b"broken")
    (photos / "val/cat/1.png").write_bytes(b"broken")
    first, notes = train(tmp_path / "run", text=skipping), Notes()
    assert first.summary["skipped"] == {"training": 1, "evaluation": 1}
    (photos / "train/cat/0.png").write_bytes(b"broken")
    (photos / "train/cat/1.png").unlink()
    paint(photos / "train/cat/0b.png", 30)
    paint(photos / "val/cat/1.png", 30)
    (photos / "train/cat/0b.png").write_bytes(b"broken")  # it has the index of the image before
    again = train(first.folder, "epochs 4", text=skipping, resume=True, allow_changed=True, listener=notes)
    assert again.summary["skipped"] == {"training": 2, "evaluation": 0}
    for name in ("0.png", "0b.png"):
        assert any("skipped: " in note and f"train/cat/{name}" in note for note in notes.notes), notes.notes
        assert any(line["kind"] == "skipped" and f"train/cat/{name}" in line["why"] for line in again.metrics)


def test_images_that_moved_are_the_same(photos: Path, tmp_path: Path) -> None:
    before = read_provenance(train(tmp_path / "a", text=text(photos)).folder)
    after = read_provenance(train(tmp_path / "b", text=text(photos.rename(tmp_path / "elsewhere"))).folder)
    assert before == after


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
@pytest.mark.parametrize("file", ["classes", "preprocessing", "data"])
def test_damaged_provenance_is_told(photos: Path, tmp_path: Path, file: str, damage: str) -> None:
    folder = train(tmp_path / "run", text=text(photos)).folder
    damaged = folder / f"{file}.json"
    content = damaged.read_bytes()
    if damage == "missing":
        damaged.unlink()
    else:
        damaged.write_bytes(content[:-9] if damage == "cut" else content.replace(b"1", b"3", 1))
    with pytest.raises(RecipeError, match=rf"E120.*`.*{file}\.json`"):
        open_run(folder, vocabulary())


# ---- files that a recipe names


@trick("data listed", writes=("data",))
class Listed(Trick):
    """Train on the shades that a list names."""

    path: str = path(help="a list of labels")
    size: int = integer(32, "size of the images")
    workers: int = integer(0, "processes", result=False)

    def open(self) -> Sets:
        labels = torch.tensor([int(line.split(",")[0]) for line in Path(self.path).read_text().splitlines()])
        noise = torch.randint(0, 50, (len(labels), 3, 32, 32), generator=torch.Generator().manual_seed(0))
        part = InMemory((noise + 200 * labels[:, None, None, None]).byte(), labels)
        return Sets(part, part, 2)

    def count_classes(self) -> int:
        return 2


def test_an_edited_list_of_a_plugin_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("0,a\n1,b\n" * 8)
    words = vocabulary_with(Listed)
    recipe = f'base timm:test_resnet; data listed "{tmp_path / "list.csv"}"; batch 8; epochs 1; lr 0.01'
    train(tmp_path / "run", text=recipe, plugins=words)
    (tmp_path / "list.csv").write_text("0,a\n1,B\n" * 8)
    with pytest.raises(RecipeError, match=r"E113.*the file of `data listed path` is different") as caught:
        train(tmp_path / "run", text=recipe, plugins=words, resume=True)
    span = caught.value.diagnostics[0].span
    assert span is not None
    assert span.source.text[span.start : span.end] == f'"{tmp_path / "list.csv"}"'


# ---- fingerprints


def in_memory(count: int = 8) -> InMemory:
    pixels = torch.arange(count * 3 * 4 * 4).remainder(251).byte().view(count, 3, 4, 4)
    return InMemory(pixels, torch.arange(count) % 2)


class Own:
    """Images with a way of their own to fetch them."""

    uniform = False

    def __init__(self, images: InMemory) -> None:
        self.images, self.labels = images, images.labels

    def fetch(self, indices: np.typing.NDArray[np.int64], boxer: object) -> Tensor:
        return self.images.pixels[torch.from_numpy(indices)]


@pytest.mark.parametrize("wrap", [lambda images: images, Own], ids=["in memory", "own"])
def test_every_pixel_every_label_and_the_order_count(wrap: Callable[[InMemory], recipe.Images]) -> None:
    def of(change: Callable[[InMemory], object]) -> fingerprints.Fingerprint:
        images = in_memory()
        change(images)
        return fingerprint(wrap(images))

    changes: list[Callable[[InMemory], object]] = [
        lambda images: None,
        lambda images: images.pixels[7, 2, 3, 3].add_(1),
        lambda images: images.labels[0].add_(1),
        lambda images: images.pixels.copy_(images.pixels.flip(0)),
    ]
    assert len({of(change) for change in changes}) == len(changes)
    assert of(changes[0]) == of(changes[0])


def test_large_sets_are_sampled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}").write_bytes(bytes(9))
    files = Files(tuple(sorted(tmp_path.iterdir())), torch.zeros(9).long(), 4)
    assert (fingerprint(in_memory(9)).sampled, fingerprint(files).sampled) == (9, 9)
    monkeypatch.setattr(fingerprints, "SAMPLE", 4)
    monkeypatch.setattr(fingerprints, "MOST_BYTES", 80)
    assert (fingerprint(in_memory(9)).sampled, fingerprint(files).sampled) == (4, 4)
    assert fingerprints._sample(9, 4) == [0, 3, 5, 8]


@pytest.mark.parametrize("count", range(6))
def test_a_run_that_is_killed_while_it_writes_these_files_resumes(
    count: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of its first files it has written, the command can be repeated."""

    class Killed(BaseException):
        pass

    left, write = [count], files.write

    def killed(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
        if path.parent == tmp_path / "run":
            left[0] -= 1
            if left[0] < 0:
                raise Killed
        write(path, fill)

    with monkeypatch.context() as patched:
        patched.setattr(files, "write", killed)
        with pytest.raises(Killed):
            train(tmp_path / "run", text=text(photos), resume=True)
    assert train(tmp_path / "run", text=text(photos), resume=True).summary["steps"] == 2
