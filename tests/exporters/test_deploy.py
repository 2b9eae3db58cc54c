"""Exports with `--deploy`: from pixels or image files of any size to labels, like the run's own evaluation."""

from __future__ import annotations

import csv
import functools
import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper
from PIL import Image
from safetensors import safe_open

import recipe
from recipe.base.errors import RecipeError
from recipe.base.sealed import write_sealed
from recipe.data.decode import VECTORS, Pixels, decode
from recipe.data.images import resize
from recipe.exporters import deployed, onnx_pixels
from recipe.exporters import python as exporter
from recipe.exporters.source_run import SourceRun, open_run
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.provenance import CLASSES, PREPROCESSING, Preprocessing, read_provenance
from recipe.runs.trained_on import recorded_inputs
from tests.exporters.helpers import train
from tests.helpers import Outcome, command

LEARNT = "base shufflenet_v2_x0_5; data fake size=32 classes=10 images=64; batch 8; epochs 6; lr 0.01"
"""A training after which the probabilities depend on the image."""

NAMES = ("a cat", 'Maß "x", y', "猫\t\n", "=1+1", "\\u0041", "a/b", "\u00e9", "e\u0301", "🐈", "\x1b[31m")
"""Names of the ten classes, in which nothing may be changed."""

SIZES = [
    (7, 9),
    (1, 1),
    (3, 50),
    (32, 32),
    (33, 32),
    (64, 48),
    (96, 128),
    (131, 40),
    (256, 256),
    (375, 500),
    (500, 375),
]


def changed(run: Path, folder: Path, crop: float | None = None, names: tuple[str, ...] = ()) -> Path:
    """Copy a run to a folder, with a different crop and names of classes."""
    folder.mkdir()
    for file in run.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    provenance = read_provenance(run)
    assert provenance is not None
    write_sealed(folder / PREPROCESSING, attrs.asdict(attrs.evolve(provenance.preprocessing, crop=crop)))
    if names:
        write_sealed(folder / CLASSES, attrs.asdict(attrs.evolve(provenance.classes, names=names)))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of whole images without named classes, and of centers with named ones."""
    root = tmp_path_factory.mktemp("runs")
    run = train(root / "run", text=LEARNT).folder
    return {"whole": changed(run, root / "whole"), "center": changed(run, root / "center", 224 / 256, NAMES)}


@attrs.frozen
class Exports:
    """The exports of a run: a folder with `a.onnx` and `a.py`, and what the command printed for each."""

    folder: Path
    said: dict[str, Outcome]

    @property
    def onnx(self) -> Path:
        return self.folder / "a.onnx"

    @property
    def script(self) -> Path:
        return self.folder / "a.py"


@pytest.fixture(scope="module")
def exported(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exports]:
    """The exports of each run."""
    root, exports = tmp_path_factory.mktemp("exports"), {}
    for kind, run in runs.items():
        (root / kind).mkdir()
        files = {"onnx": root / kind / "a.onnx", "python": root / kind / "a.py"}
        said = {to: command("export", run, "--to", to, "--deploy", "--out", file) for to, file in files.items()}
        exports[kind] = Exports(root / kind, said)
    return exports


def session_of(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def photos(count: int, height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


NEAR = {"whole": 0.01, "center": 1e-5 if VECTORS else 0.01}
"""How much probabilities may differ. Inputs may differ by a shade if whole images are resized, and without vectors."""


def own(run: SourceRun, pixels: Pixels) -> torch.Tensor:
    """Return the probabilities of the run's own evaluation."""
    with torch.inference_mode():
        return run.model(deployed.evaluated(pixels, run.preprocessing)).softmax(1)


# ---- preprocessing


@functools.cache
def preprocessing_session(preprocessing: Preprocessing, rows_first: bool) -> onnxruntime.InferenceSession:
    network = helper.make_model(helper.make_graph([], "", [], []), opset_imports=[helper.make_opsetid("", 18)])
    model = onnx_pixels.preprocessing_alone(preprocessing, network)
    model.ir_version = 10
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def preprocessed(preprocessing: Preprocessing, pixels: Pixels) -> Any:
    """Return the inputs that the graph makes of pixels: (N, 3, size, size)."""
    session = preprocessing_session(preprocessing, onnx_pixels.ROWS_FIRST)
    return session.run(None, {"pixels": pixels})[0]


@pytest.mark.parametrize("size", [24, 32, 96])
@pytest.mark.parametrize("crop", [None, 224 / 256, 1.0, 0.9])
def test_the_graph_makes_the_inputs_of_evaluation(size: int, crop: float | None, tmp_path: Path) -> None:
    preprocessing = Preprocessing(size, crop, (0.0,) * 3, (1.0,) * 3)
    different = 0.0
    for height, width in SIZES:
        for pixels in (photos(2, height, width), np.full((1, height, width, 3), 255, np.uint8)):
            off = np.abs(preprocessed(preprocessing, pixels) * 255 - evaluated_shades(pixels, size, crop, tmp_path))
            assert off.max() < 1.01, (height, width)
            different = max(different, (off > 0.01).mean())
    assert different <= (0.01 if crop is None else 0 if VECTORS else 0.5)


@pytest.mark.parametrize("size", [24, 96])
@pytest.mark.parametrize("crop", [None, 224 / 256, 1.0])
def test_bicubic_pixels_become_the_inputs_of_the_runs_evaluation(size: int, crop: float | None) -> None:
    preprocessing = Preprocessing(size, crop, (0.0,) * 3, (1.0,) * 3, "bicubic")
    different = 0.0
    for height, width in SIZES:
        for pixels in (photos(2, height, width), np.full((1, height, width, 3), 255, np.uint8)):
            own = deployed.evaluated(pixels, preprocessing).numpy()
            off = np.abs(preprocessed(preprocessing, pixels) - own) * 255
            assert off.max() < 1.01, (height, width)
            different = max(different, (off > 0.01).mean())
    assert different <= (0.01 if crop is None else 1e-3)


@pytest.fixture(scope="module")
def bicubic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that evaluates images of another size than it was trained with, with bicubic interpolation."""
    words = "input mean=0.4 0.5 0.6 std=0.25 0.25 0.5 interpolation=bicubic; evaluation size=40 crop=80%"
    text = f"{LEARNT.replace('epochs 6', 'epochs 1')}; {words}"
    return train(tmp_path_factory.mktemp("bicubic") / "run", text=text).folder


@pytest.mark.parametrize("to", ["onnx", "python", "safetensors"])
def test_exports_have_the_inputs_of_the_evaluation(bicubic: Path, to: str, tmp_path: Path) -> None:
    """Exporting verifies the inputs and the probabilities of a deployed export, and the logits of any other."""
    file = tmp_path / {"onnx": "a.onnx", "python": "a.py", "safetensors": "a.safetensors"}[to]
    done = recipe.export(bicubic, to=to, out=file)
    assert done.difference is not None
    assert done.difference < 1e-5
    if to == "safetensors":
        with safe_open(file, framework="pt") as opened:
            about = opened.metadata()
        assert (about["image_size"], about["crop"], about["interpolation"]) == ("40", "0.8", "bicubic")
        inputs = recorded_inputs(str(file))
        assert inputs is not None
        assert (inputs.mean, inputs.crop, inputs.interpolation) == ((0.4, 0.5, 0.6), 0.8, "bicubic")
        return
    deployed_file = tmp_path / f"b{file.suffix}"
    done = recipe.export(bicubic, to=to, out=deployed_file, deploy=True)
    assert done.shades is not None
    assert done.shades < 1.01
    if to == "python":
        run, image = recipe.load(bicubic, device="cpu"), photos(1, 75, 50)[0]
        Image.fromarray(image).save(tmp_path / "a.png")
        for script in (file, deployed_file):
            inputs = runpy.run_path(str(script))["preprocess"](Image.open(tmp_path / "a.png"))
            assert (inputs - run.preprocess(tmp_path / "a.png")).abs().max() < 1e-6
    else:
        properties = {prop.key: prop.value for prop in onnx.load(deployed_file).metadata_props}
        assert (properties["crop"], properties["interpolation"]) == ("0.8", "bicubic, antialiased")


def test_an_export_of_several_views_is_refused(tmp_path: Path) -> None:
    run = train(tmp_path / "run", "evaluation views=flip")
    with pytest.raises(RecipeError, match=r"E121.*averages the predictions of several views \(`flip`\)"):
        recipe.export(run.folder, to="python", out=tmp_path / "a.py", deploy=True)
    recipe.export(run.folder, to="python", out=tmp_path / "a.py")
    assert "averages the predictions of several views (flip); this is the first one" in (tmp_path / "a.py").read_text()


def test_resizing_rows_first_changes_inputs_by_at_most_a_shade(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow resizes tall images in another order since version 13."""
    preprocessing = Preprocessing(32, 224 / 256, (0.0,) * 3, (1.0,) * 3)
    for height, width in ((131, 40), (300, 90), (40, 131)):
        found, pixels = [], photos(1, height, width)
        for rows_first in (True, False):
            monkeypatch.setattr(onnx_pixels, "ROWS_FIRST", rows_first)
            found.append(preprocessed(preprocessing, pixels))
        off = np.abs(found[0] - found[1]) * 255
        assert off.max() < 1.01
        assert (off.max() > 0.99) == (height > width)


def evaluated_shades(pixels: Pixels, size: int, crop: float | None, folder: Path) -> Any:
    """Return images as evaluation resizes them, decoded from files: (N, 3, size, size) of 0 to 255."""
    if crop is None:
        return resize(torch.from_numpy(pixels).permute(0, 3, 1, 2), size).numpy().astype(float)

    def box(height: int, width: int) -> tuple[float, ...]:
        side = min(height, width) * (crop or 1)
        return ((height - side) / 2, (width - side) / 2, side, side)

    shades = []
    for image in pixels:
        Image.fromarray(image).save(folder / "a.png")
        shades.append(decode(folder / "a.png", size, None if crop == 224 / 256 else box).transpose(2, 0, 1))
    return np.stack(shades).astype(float)


# ---- ONNX


@pytest.mark.parametrize("kind", ["whole", "center"])
def test_one_session_takes_batches_of_any_size(kind: str, runs: dict[str, Path], exported: dict[str, Exports]) -> None:
    run, session = open_run(runs[kind], Vocabulary.installed()), session_of(exported[kind].onnx)
    for height, width in SIZES:
        for count in (1, 3):
            pixels = photos(count, height, width)
            found, classes, best = session.run(
                ["probabilities", "top_classes", "top_probabilities"], {"pixels": pixels}
            )
            expected = own(run, pixels)
            assert found.shape == (count, 10)
            assert np.abs(found - expected.numpy()).max() < NEAR[kind]
            assert classes.tolist() == np.argsort(-found, 1, stable=True)[:, :5].tolist()
            assert np.array_equal(best, np.take_along_axis(found, classes, 1))


def test_labels_are_the_names_of_the_classes_to_the_letter(exported: dict[str, Exports]) -> None:
    session = session_of(exported["center"].onnx)
    labels, classes = session.run(["top_labels", "top_classes"], {"pixels": photos(3, 40, 50)})
    assert labels.tolist() == [[NAMES[index] for index in row] for row in classes.tolist()]
    assert [output.name for output in session_of(exported["whole"].onnx).get_outputs()] == [
        "probabilities",
        "top_classes",
        "top_probabilities",
    ]


def test_few_classes_are_all_returned_and_broken_names_are_escaped() -> None:
    shapes = (("images", ["N", 3, 8, 8]), ("logits", ["N", 3]))
    given, returned = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes)
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"]),
    ]
    network = helper.make_model(
        helper.make_graph(nodes, "", [given], [returned]), opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    )
    onnx_pixels.deploy(network, Preprocessing(8, 0.5, (0.0,) * 3, (1.0,) * 3), 3, ("red", "green \udcff", "blue"))
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = np.broadcast_to(np.array([102, 255, 0], np.uint8), (2, 30, 20, 3))
    probabilities, labels = session.run(["probabilities", "top_labels"], {"pixels": pixels})
    assert labels.tolist() == [["green \\udcff", "red", "blue"]] * 2
    assert probabilities == pytest.approx(np.exp([[0.4, 1, 0]] * 2) / np.exp([0.4, 1, 0]).sum())


def test_the_file_describes_its_inputs_and_outputs(exported: dict[str, Exports]) -> None:
    for kind, crop in (("center", 0.875), ("whole", None)):
        model = onnx.load(exported[kind].onnx)
        onnx.checker.check_model(model, full_check=True)
        (given,) = model.graph.input
        assert given.name == "pixels"
        assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
        assert [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim] == ["N", "H", "W", 3]
        found = {entry.key: entry.value for entry in model.metadata_props}
        assert found["pixels"] == "uint8 (N, H, W, 3), RGB, of any height and width"
        assert json.loads(found["crop"]) == crop
        assert found["image_size"] == "32"


# ---- Python


@pytest.mark.parametrize("kind", ["whole", "center"])
def test_source_predicts_like_the_evaluation_of_the_run(
    kind: str, runs: dict[str, Path], exported: dict[str, Exports], tmp_path: Path
) -> None:
    run, module = open_run(runs[kind], Vocabulary.installed()), runpy.run_path(str(exported[kind].script))
    names = list(NAMES) if kind == "center" else [str(number) for number in range(10)]
    files = [tmp_path / f"{height}x{width}.png" for height, width in SIZES]
    for file, (height, width) in zip(files, SIZES, strict=True):
        Image.fromarray(photos(1, height, width)[0]).save(file)
    found = module["predict"](files, 10)
    for ranked, (height, width) in zip(found, SIZES, strict=True):
        expected = own(run, photos(1, height, width))[0]
        assert [label for label, _ in ranked] == [names[index] for index in expected.argsort(descending=True)]
        assert [value for _, value in ranked] == pytest.approx(sorted(expected.tolist(), reverse=True), abs=1e-4)
    assert [len(ranked) for ranked in module["predict"](files[:2])] == [5, 5]


def alone(path: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run exported source without recipe."""
    call = [sys.executable, "-I", path, *arguments]
    return subprocess.run(list(map(str, call)), capture_output=True, text=True, encoding="utf-8", cwd=cwd)


def test_the_command_reads_folders_and_names_broken_files(exported: dict[str, Exports], tmp_path: Path) -> None:
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name in ("a.png", "more/b.JPG", "more/.hidden.png"):
        Image.fromarray(photos(1, 40, 50)[0]).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "broken.png").write_bytes((tmp_path / "photos" / "a.png").read_bytes()[:200])
    (tmp_path / "photos" / "notes.txt").write_text("not an image")
    (tmp_path / "photos" / "lost.png").symlink_to("nowhere.png")
    done = alone(exported["center"].script, "photos", "gone.png", "--top", 2, "--csv", cwd=tmp_path)
    rows = list(csv.reader(io.StringIO(done.stdout, newline="")))
    assert rows[0] == ["image", "class", "probability", "class_2", "probability_2", "error"]
    names = ["photos/a.png", "photos/broken.png", "photos/lost.png", "photos/more/b.JPG", "gone.png"]
    assert [row[0] for row in rows[1:]] == names
    assert rows[5] == ["gone.png", "", "", "", "", "can't read gone.png: it does not exist"]
    first, *others = done.stderr.splitlines()
    assert first.startswith("can't read photos/broken.png: ")
    assert others == [
        "can't read photos/lost.png: it does not exist",
        "can't read gone.png: it does not exist",
        "3 of 5 images can't be read",
    ]
    assert done.returncode == 1
    (ranked,) = runpy.run_path(str(exported["center"].script))["predict"]([tmp_path / "photos" / "a.png"], 2)
    assert rows[1] == ["photos/a.png", *(str(value) for pair in ranked for value in pair), ""]


def test_the_command_writes_the_same_table_as_recipe_predict(
    runs: dict[str, Path], exported: dict[str, Exports], tmp_path: Path
) -> None:
    for number in range(3):
        Image.fromarray(photos(1, 40, 50, number)[0]).save(tmp_path / f"{number}.png")
    tables = [
        list(csv.reader(io.StringIO(text, newline="")))
        for text in (
            alone(exported["center"].script, tmp_path, "--top", 20, "--csv", cwd=tmp_path).stdout,
            command("predict", runs["center"], tmp_path, "--top", 20, "--csv", "--batch", 1).stdout,
        )
    ]
    shape = [[value if index % 2 or not index else "" for index, value in enumerate(row)] for row in tables[0]]
    assert shape == [[value if index % 2 or not index else "" for index, value in enumerate(row)] for row in tables[1]]
    numbers = [[float(row[index]) for row in table[1:] for index in range(2, 21, 2)] for table in tables]
    assert numbers[0] == pytest.approx(numbers[1], abs=1e-5)


@pytest.fixture
def script(exported: dict[str, Exports], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Call the command of the exported source, in this process and in an empty folder."""
    monkeypatch.chdir(tmp_path)
    main = runpy.run_path(str(exported["whole"].script))["main"]

    def called(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["a.py", *arguments])
        return int(main())

    return called


def test_the_command_prints_the_most_likely_label_of_each_image(
    script: Callable[..., int],
    runs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number, name in enumerate(("a\x1b[31m.png", "b.png")):
        Image.fromarray(photos(1, 40, 50, number)[0]).save(tmp_path / name)
    assert script("a\x1b[31m.png", "b.png") == 0
    run = open_run(runs["whole"], Vocabulary.installed())
    best = [own(run, photos(1, 40, 50, number))[0].max(0) for number in (0, 1)]
    expected = [[name, str(int(top.indices))] for name, top in zip(("a\\x1b[31m.png", "b.png"), best, strict=True)]
    out, err = capsys.readouterr()
    rows = [line.split("\t") for line in out.splitlines()]
    assert ([row[:2] for row in rows], err) == (expected, "")
    assert [float(row[2]) for row in rows] == pytest.approx([float(top.values) for top in best], abs=2e-6)


def test_the_command_reports_what_it_cannot_use(
    script: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert script("empty") == 1
    assert capsys.readouterr() == ("", "no images found in empty\n")
    with pytest.raises(SystemExit, match="2"):
        script("empty", "--top", "0")
    assert "argument --top: invalid positive value: '0'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["floats.tif", "pipe.png"])
def test_the_command_refuses_what_a_run_refuses(
    name: str, script: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "pipe.png":
        os.mkfifo(name)
    else:
        Image.fromarray(np.zeros((40, 40), np.float32)).save(name)
    assert script(name) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"can't read {name}: ")


def test_the_source_is_formatted_and_needs_no_recipe(exported: dict[str, Exports]) -> None:
    for kind in exported:
        file = exported[kind].script
        assert "import recipe" not in file.read_text()
        for check in (["format", "--check"], ["check", "--select=E,F,I,UP,B", "--ignore=E501,B905", "--isolated"]):
            call = [sys.executable, "-m", "ruff", *check, "--line-length=120", file]
            done = subprocess.run(call, capture_output=True)
            assert done.returncode == 0, done.stdout


# ---- the export


def test_an_export_reports_how_close_it_is_to_the_run(exported: dict[str, Exports]) -> None:
    for kind, exports in exported.items():
        for to, done in exports.said.items():
            inputs = "inputs equal the run's"
            if to == "onnx" and not (kind == "center" and VECTORS):
                inputs += r"|inputs differ from the run's by at most 1 of 255 shades, in 0\.0\d*% of their values"
            said = rf"verified: ({inputs}), probabilities differ by at most \de-0\d, and top labels are equal\n"
            assert re.fullmatch(said, done.stderr), (kind, to)
        assert [done.status for done in exports.said.values()] == [0, 0]
        assert exports.said["python"].stdout == f"{exports.script}\n{exports.folder / 'a.weights.safetensors'}\n"


def test_the_result_of_an_export_has_the_differences(runs: dict[str, Path], tmp_path: Path) -> None:
    result = recipe.export(runs["whole"], to="python", out=tmp_path / "a.py", deploy=True)
    assert result.shades == pytest.approx(0, abs=1e-3)
    assert result.differing == 0
    assert result.difference is not None
    assert result.difference < 1e-6


def test_a_format_of_weights_alone_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "a.safetensors"
    done = command("export", runs["whole"], "--to", "safetensors", "--deploy", "--out", out)
    assert (done.status, done.stdout) == (2, "")
    assert "error[E121]: the format `safetensors` can't export a model that takes pixels" in done.stderr
    assert "= help: use `--to onnx`, `--to python`, or leave out --deploy" in done.stderr
    assert not out.exists()


def altered(run: SourceRun, path: Path, which: str) -> Any:
    """Write source, and return other inputs or probabilities."""
    inputs, probabilities = exporter.deploy(run, path)
    if which in ("inputs", "a little"):
        shades = 1.1 if which == "inputs" else 0.5
        inputs = inputs + shades / 255 / torch.tensor(run.preprocessing.std).view(3, 1, 1)
    if which == "a little":
        with torch.inference_mode():
            probabilities = run.model(inputs).softmax(1)
    if which == "probabilities":
        probabilities = probabilities + 2e-4
    return (inputs, probabilities) if which != "neither" else inputs


def test_inputs_that_differ_a_little_are_accepted_and_reported(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    different = attrs.evolve(exporter.FORMAT, deploy=lambda run, path: altered(run, path, "a little"))
    monkeypatch.setattr(exporter, "FORMAT", different)
    done = command("export", runs["whole"], "--to", "python", "--deploy", "--out", tmp_path / "a.py")
    assert done.status == 0
    said = (
        r"verified: inputs differ from the run's by at most 0.5 of 255 shades, in 100% of their values, probabilities"
    )
    assert re.match(rf"{said} differ by at most [1-9]e-0[1-5], and ", done.stderr)


def test_another_top_label_is_accepted_only_if_it_is_nearly_as_likely() -> None:
    preprocessing = Preprocessing(4, None, (0.5,) * 3, (0.5,) * 3)
    pixels = np.full((1, 4, 4, 3), 128, np.uint8)
    inputs = deployed.evaluated(pixels, preprocessing)

    def found(steepness: float) -> deployed.Agreement:
        """Compare inputs that are a shade lower in a network whose top label changes between the two."""

        def model(images: torch.Tensor) -> torch.Tensor:
            shades = (images[:, 0, 0, 0] / 2 + 0.5) * 255 - 127.4
            return torch.stack([steepness * shades, -steepness * shades], 1)

        program = SimpleNamespace(classes=2)
        run = SimpleNamespace(pixels=(pixels,), preprocessing=preprocessing, program=program, model=model)
        lower = inputs - 2 / 255
        return deployed.compared(run, lower, model(lower).softmax(1), "python")  # type: ignore[arg-type]

    assert found(0.005).other_labels == 1
    with pytest.raises(recipe.RecipeError, match=r"E122.*the top label of the export to python differs"):
        found(0.5)


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("inputs", "E122]: the inputs that the export to python makes of images are off by 1.1 of 255 shades"),
        ("probabilities", "E122]: the probabilities of the export to python are off by 2.0e-04 for the same inputs"),
        ("neither", "E080]: the format `python` of recipe-compiler is broken: it returns a Tensor instead of inputs"),
    ],
)
def test_a_deployed_model_that_differs_is_not_written(
    which: str, said: str, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    different = attrs.evolve(exporter.FORMAT, deploy=lambda run, path: altered(run, path, which))
    monkeypatch.setattr(exporter, "FORMAT", different)
    done = command("export", runs["whole"], "--to", "python", "--deploy", "--out", tmp_path / "a.py")
    assert (done.status, done.stdout) == (2, "")
    assert f"error[{said}" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_command_reports_what_the_system_refuses(exported: dict[str, Exports], tmp_path: Path) -> None:
    Image.fromarray(photos(1, 40, 50)[0]).save(tmp_path / "a.png")
    script = shutil.copy(exported["center"].script, tmp_path / "a.py")
    weights = tmp_path / "a.weights.safetensors"
    done = alone(script, "a.png", cwd=tmp_path)  # without its weights
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    data = exported["center"].script.with_suffix(".weights.safetensors").read_bytes()
    weights.write_bytes(data[:-10])
    done = alone(script, "a.png", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    weights.write_bytes(data)
    done = alone(script, "", cwd=tmp_path)
    assert done.returncode == 2
    with open("/dev/full", "w") as full:
        call = [sys.executable, "-I", script, "a.png"]
        failed = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert (failed.returncode, failed.stderr) == (2, "error: [Errno 28] No space left on device\n")
