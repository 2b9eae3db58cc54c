"""`recipe predict` and `Run.predict`: the classes of images, as the run's evaluation and its exports see them."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import recipe
from recipe.base.errors import RecipeError
from recipe.data.images import resize
from recipe.inference.run import Run
from tests.helpers import command
from tests.inference.helpers import exported, outputs_of
from tests.training.helpers import train


@pytest.fixture(scope="module")
def images(data: Path) -> list[Path]:
    return sorted((data / "val").rglob("*.png"))


def test_the_classes_are_those_of_the_folders(trained: Run, images: list[Path]) -> None:
    predicted = trained.predict(images)
    assert [one.label for one in predicted] == [path.parent.name for path in images]
    assert [one.image for one in predicted] == [*map(str, images)]
    for one in predicted:
        assert sorted(one.classes) == ["blue", "green", "red"]
        assert [trained.classes.names[index] for index in one.indices] == [*one.classes]
        assert [*one.probabilities] == sorted(one.probabilities, reverse=True)
        assert sum(one.probabilities) == pytest.approx(1, abs=1e-6)
        assert one.probability == one.probabilities[0]


def test_paths_pictures_arrays_and_tensors_give_the_same(trained: Run, images: list[Path]) -> None:
    pictures = [Image.open(path) for path in images[:3]]
    arrays = [np.array(Image.open(path)) for path in images[:3]]
    expected = [attrs_of(one) for one in trained.predict(images[:3], batch=1)]
    assert [attrs_of(one) for one in trained.predict(pictures, batch=1)] == expected
    assert [attrs_of(one) for one in trained.predict(arrays, batch=1)] == expected
    tensors = [torch.from_numpy(array).permute(2, 0, 1) for array in arrays]
    assert [attrs_of(one) for one in trained.predict(tensors, batch=1)] == expected
    assert [attrs_of(one) for one in trained.predict(str(images[0]))] == expected[:1]
    assert [attrs_of(one) for one in trained.predict(tensors[0][None])] == expected[:1]
    assert trained.predict([]) == []


def test_a_folder_has_the_images_that_the_command_finds(trained: Run, images: list[Path], tmp_path: Path) -> None:
    folder = images[0].parent
    inside = [str(path) for path in images if path.parent == folder]
    expected = [(one.image, *attrs_of(one)) for one in trained.predict(inside)]
    for given in (folder, str(folder), [folder]):
        assert [(one.image, *attrs_of(one)) for one in trained.predict(given)] == expected
    mixed = trained.predict([images[-1], folder])
    assert [one.image for one in mixed] == [str(images[-1]), *inside]
    assert len(trained.preprocess(folder.parent)) == len(images)
    with pytest.raises(RecipeError, match=r"E128.*has no images"):
        trained.predict(tmp_path)


def attrs_of(one: recipe.Prediction) -> tuple[object, ...]:
    return one.classes, one.probabilities, one.indices


def test_the_numbers_are_those_of_the_exported_source(trained: Run, images: list[Path], tmp_path: Path) -> None:
    outputs = outputs_of(exported(trained, tmp_path), trained.preprocess(images))
    by_index = [dict(zip(one.indices, one.probabilities, strict=True)) for one in trained.predict(images)]
    mine = torch.tensor([[each[index] for index in range(3)] for each in by_index])
    assert (mine - outputs.softmax(1)).abs().max() < 1e-6
    assert torch.equal(mine.argmax(1), outputs.argmax(1))


def test_inputs_are_the_normalized_center(trained: Run, tmp_path: Path) -> None:
    """An independent computation of the preprocessing that preprocessing.json states."""
    pixels = np.random.default_rng(3).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    side = 48 * trained.preprocessing.crop
    top, left = (64 - side) / 2, (48 - side) / 2
    cut = Image.fromarray(pixels).crop((left, top, left + side, top + side)).resize((32, 32), Image.Resampling.BILINEAR)
    mean, std = (np.array(values)[:, None, None] for values in (trained.preprocessing.mean, trained.preprocessing.std))
    expected = (np.array(cut).transpose(2, 0, 1) / 255 - mean) / std
    inputs = trained.preprocess(pixels)
    assert inputs.shape == (1, 3, 32, 32)
    assert np.abs(inputs[0].numpy() - expected).max() <= 1.01 / 255 / min(trained.preprocessing.std)


def test_a_run_on_whole_images_predicts_on_whole_images(tmp_path: Path) -> None:
    run = train(tmp_path / "run")
    assert run.preprocessing.crop is None
    pixels = np.random.default_rng(3).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    inputs = run.preprocess(pixels)[0].permute(1, 2, 0).numpy()
    back = inputs * np.array(run.preprocessing.std) + np.array(run.preprocessing.mean)
    assert np.abs(back * 255 - pixels).max() < 1e-3
    assert len(run.predict(pixels)[0].classes) == 10
    larger = np.random.default_rng(4).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    inputs = run.preprocess(larger)[0].permute(1, 2, 0).numpy()
    shades = (inputs * np.array(run.preprocessing.std) + np.array(run.preprocessing.mean)) * 255
    in_memory = resize(torch.from_numpy(larger).permute(2, 0, 1)[None], 32)[0].permute(1, 2, 0).numpy()
    assert np.abs(shades - in_memory).max() < 1e-3  # as evaluation resizes images in memory


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (torch.zeros(3, 8, 8), "uint8, not float32: pass pixels from 0 to 255"),
        (np.zeros((8, 8, 4), np.uint8), r"the shape \(H, W, 3\) or \(H, W\), not \(8, 8, 4\)"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), r"the shape \(3, H, W\), not \(8, 8, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), "must have the shape"),
        ([7], "an image is a path, a Pillow image, an array or a tensor, not 7"),
        (None, "not None"),
    ],
)
def test_what_is_not_an_image_is_refused(trained: Run, given: object, error: str) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        trained.predict(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(("option", "value"), [("top", 0), ("batch", True), ("workers", -1), ("top", 1.5)])
def test_wrong_options_are_refused(trained: Run, option: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"`{option}` must be a whole number of at least"):
        trained.predict([], **{option: value})  # type: ignore[arg-type]


def test_an_image_that_cannot_be_read_is_an_error_unless_it_is_skipped(
    trained: Run, images: list[Path], tmp_path: Path
) -> None:
    (broken := tmp_path / "broken.png").write_bytes(images[0].read_bytes()[:60])
    with pytest.raises(RecipeError, match=r"E070.*broken\.png"):
        trained.predict([images[0], broken])
    with pytest.raises(RecipeError, match=r"can't be decoded[\s\S]*with `skip=True`"):
        trained.predict([images[0], broken])
    good, bad = trained.predict([images[0], broken], skip=True)
    assert good.label == "blue"
    assert "broken.png` can't be decoded" in bad.error
    with pytest.raises(ValueError, match="can't be decoded"):
        _ = bad.label


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("given", ["fotos", Path("fotos"), ["fotos", "other"]])
def test_a_path_that_does_not_exist_is_never_skipped(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skip: bool, given: str | Path | list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(RecipeError) as caught:
        trained.predict(given, skip=skip)
    (found,) = caught.value.diagnostics
    assert (found.code, found.message) == ("E128", "`fotos` does not exist")
    assert found.help == "did you mean `photos`?"
    with pytest.raises(RecipeError, match=r"E128.*an empty path"):
        trained.predict("", skip=skip)


def test_a_missing_image_among_others_is_skipped_as_on_the_command_line(
    trained: Run, alone: Run, images: list[Path], tmp_path: Path
) -> None:
    good, missing = trained.predict([images[0], tmp_path / "gone.png"], skip=True)
    assert (good.error, "gone.png" in missing.error) == ("", True)
    done = command("predict", alone.folder, images[0], tmp_path / "gone.png")
    assert (done.status, len(done.stdout.splitlines())) == (1, 1)
    assert "1 of 2 images can't be read" in done.stderr


def test_the_model_stays_in_the_callers_mode(trained: Run, images: list[Path]) -> None:
    trained.model.train()
    try:
        with torch.autocast("cpu", torch.bfloat16):
            inside = trained.predict(images[:2])
        assert trained.model.training
    finally:
        trained.model.eval()
    assert trained.predict(images[:2]) == inside


def test_a_table_has_a_line_per_image(alone: Run, data: Path) -> None:
    done = command("predict", alone.folder, data / "val" / "red")
    assert (done.status, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [str(path) for path in sorted((data / "val" / "red").iterdir())]
    assert all(line.endswith("% red") for line in lines)


def test_csv_and_jsonl_have_the_same_numbers(alone: Run, images: list[Path]) -> None:
    expected = alone.predict(images, top=2)
    done = command("predict", alone.folder, *images, "--top", "2", "--jsonl")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [one.to_dict() for one in expected]
    done = command("predict", alone.folder, *images, "--top", "2", "--csv")
    rows = [*csv.DictReader(io.StringIO(done.stdout))]
    for row, one in zip(rows, expected, strict=True):
        assert (row["image"], row["class"], row["class_2"]) == (one.image, *one.classes)
        assert (float(row["probability"]), float(row["probability_2"])) == one.probabilities
        assert row["error"] == ""


def test_images_that_cannot_be_read_are_named_and_counted(alone: Run, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "val" / "red", folder := tmp_path / "photos")
    (folder / "a.png").write_bytes(b"no image")
    (folder / "b.jpg").write_bytes(b"")
    (folder / "notes.txt").write_text("text")
    (folder / ".hidden.png").write_bytes(b"")
    for form in ("--jsonl", "--csv", ""):
        done = command("predict", alone.folder, folder, *filter(None, [form]))
        assert done.status == 1
        assert f"ignored in `{folder}`: 2 entries that are hidden, a link to a folder, or without" in done.stderr
        assert done.stderr.count("can't be decoded") == 2
        assert done.stderr.endswith("2 of 7 images can't be read\n")
        assert len(done.stdout.splitlines()) == {"--jsonl": 7, "--csv": 8, "": 5}[form]


def test_patterns_lists_and_folders_name_images_once(alone: Run, data: Path) -> None:
    red = sorted((data / "val" / "red").iterdir())
    done = command("predict", alone.folder, str(data / "val" / "red" / "*.png"), data / "val" / "red", red[0])
    assert [line.split()[0] for line in done.stdout.splitlines()] == [*map(str, red)]
    listed = "".join(f"{path}\n" for path in red[:2])
    done = command("predict", alone.folder, "-", stdin=listed.encode())
    assert [line.split()[0] for line in done.stdout.splitlines()] == [*map(str, red[:2])]


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("missing.png", "`missing.png` does not exist"),
        ("*.webp", "no file matches `*.webp`"),
        ("empty", "`empty` has no images"),
    ],
)
def test_arguments_that_name_no_image(
    alone: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, error: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    done = command("predict", alone.folder, argument)
    assert (done.status, done.stdout) == (2, "")
    assert f"error[E128]: {error}" in done.stderr


@pytest.mark.parametrize(
    ("run", "error"),
    [
        ("missing", "error[E001]: file, run folder or example not found: `missing`"),
        ("empty", "error[E120]: `empty` is not a run folder: it has no recipe.lock"),
        ("base resnet999", "error[E021]"),
    ],
)
def test_a_missing_run_is_reported_with_the_images_that_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: str, error: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    done = command("predict", run, "image.jpg")
    assert (done.status, done.stdout) == (2, "")
    assert error in done.stderr
    assert "error[E128]: `image.jpg` does not exist" in done.stderr


def test_more_images_than_a_process_decodes_alone(alone: Run, images: list[Path]) -> None:
    many = images * 6
    assert alone.predict(many, batch=16) == alone.predict(many, batch=16, workers=0)


def test_pictures_that_are_opened_but_not_read_can_be_predicted_again(alone: Run, images: list[Path]) -> None:
    """Worker processes share the position in the files that this process has opened."""
    opened = [Image.open(path) for path in images]
    first = alone.predict(opened, batch=4, workers=2)
    assert alone.predict(opened, batch=4, workers=2) == first
    assert [attrs_of(one) for one in first] == [attrs_of(one) for one in alone.predict(images, batch=4)]


def test_a_linked_folder_is_reported(alone: Run, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "val" / "red", tmp_path / "photos")
    (tmp_path / "photos" / "more").symlink_to(data / "val" / "blue")
    done = command("predict", alone.folder, tmp_path / "photos")
    assert "1 entry that is hidden, a link to a folder, or without an image's ending" in done.stderr
    assert len(done.stdout.splitlines()) == 5


def test_a_file_that_is_missing_does_not_stop_the_others(alone: Run, images: list[Path], tmp_path: Path) -> None:
    listed = f"{images[0]}\n{tmp_path / 'gone.png'}\n{images[1]}\n"
    done = command("predict", alone.folder, "-", "--jsonl", stdin=listed.encode())
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.status, [row["image"] for row in rows]) == (1, listed.splitlines())
    assert ["error" in row for row in rows] == [False, True, False]
    assert "gone.png" in done.stderr
    assert "1 of 3 images can't be read" in done.stderr


def test_patterns_do_not_follow_links_to_folders(alone: Run, images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "set" / "a").mkdir(parents=True)
    shutil.copy(images[0], tmp_path / "set" / "a" / "one.png")
    (tmp_path / "set" / "a" / "up").symlink_to("..")
    done = command("predict", alone.folder, tmp_path / "set" / "**" / "*.png")
    assert (done.status, len(done.stdout.splitlines())) == (0, 1)
    assert "through links to folders" in done.stderr


def test_one_form_of_output_at_a_time(alone: Run, images: list[Path]) -> None:
    done = command("predict", alone.folder, images[0], "--csv", "--jsonl")
    assert (done.status, done.stdout) == (2, "")
    assert "--csv and --jsonl exclude each other" in done.stderr


@pytest.mark.parametrize(
    ("given", "kind", "error"),
    [
        (b"a.png", TypeError, "images are paths, Pillow images, arrays or tensors, not bytes"),
        ({}, TypeError, "images are paths, Pillow images, arrays or tensors, not dict"),
        (Image.new("RGB", (0, 0)), ValueError, "image 0 has no pixels"),
        (torch.zeros(3, 4, 4, requires_grad=True), TypeError, "image 0 must be of uint8, not float32"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8, device="meta"), TypeError, "image 0 is on the meta device"),
    ],
)
def test_what_is_no_image_is_named(alone: Run, given: object, kind: type[Exception], error: str) -> None:
    with pytest.raises(kind, match=error):
        alone.predict(given)  # type: ignore[arg-type]
