"""`recipe evaluate`: figures against hand-computed cases and independent implementations."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.datasets import ImageFolder

import recipe
from recipe.base.errors import RecipeError
from recipe.base.notebook import marked
from recipe.inference.evaluation import Evaluation
from recipe.inference.run import Run
from tests.helpers import ROOT, command
from tests.inference.helpers import exported, outputs_of, paint, photos, recipe_of
from tests.training.helpers import TINY, train


def made(labels: list[int], logits: list[list[float]], names: str = "abc") -> Evaluation:
    count = len(labels)
    return Evaluation(
        "a run", "data", tuple(names), tuple(map(str, range(count))), np.arange(count), np.array(labels),
        np.array(logits, np.float32),
    )  # fmt: skip


def test_figures_computed_by_hand() -> None:
    big, small = np.log(0.6), np.log(0.2)  # probabilities of 0.6, 0.2 and 0.2
    rows = [[big, small, small], [big, small, small], [small, big, small], [small, small, big]]
    figures = made([0, 1, 1, 0], rows)
    a, b, c = figures.classes
    assert (a.precision, a.recall, a.f1, a.support) == (0.5, 0.5, 0.5, 2)
    assert (b.precision, b.recall, b.f1, b.support) == (1.0, 0.5, pytest.approx(2 / 3), 2)
    assert (c.precision, c.recall, c.f1, c.support) == (0.0, None, 0.0, 0)
    assert (a.mistaken_for, b.mistaken_for, c.mistaken_for) == ("c", "a", None)
    assert figures.top1 == 0.5
    assert figures.balanced == 0.5
    assert figures.top5 is None
    assert figures.loss == pytest.approx(-(2 * np.log(0.6) + 2 * np.log(0.2)) / 4)
    assert figures.confusion.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]
    assert figures.ece == pytest.approx(0.1)  # a confidence of 0.6 for an accuracy of 0.5
    (only,) = [one for one in figures.calibration if one.images]
    assert (only.images, only.confidence, only.accuracy) == (4, pytest.approx(0.6), 0.5)
    assert (only.low, only.high) == (pytest.approx(0.6), pytest.approx(2 / 3))
    assert [(one.label, one.predicted, one.images) for one in figures.confused()] == [("a", "c", 1), ("b", "a", 1)]
    assert [(one.index, one.label, one.predicted) for one in figures.worst()] == [(1, "b", "a"), (3, "a", "c")]


def test_a_class_that_is_absent_and_one_that_is_never_predicted() -> None:
    figures = made([0, 0, 1], [[1, 0, 0], [1, 0, 0], [1, 0, 0]])
    a, b, c = figures.classes
    assert (a.precision, a.recall) == (pytest.approx(2 / 3), 1.0)
    assert (b.precision, b.recall, b.f1) == (None, 0.0, 0.0)
    assert (c.precision, c.recall, c.f1, c.support) == (None, None, None, 0)
    assert figures.balanced == 0.5  # over the classes that occur
    assert "not listed: 1 class without images and predictions" in figures.to_text()
    json.loads(figures.to_json())


def test_of_equal_logits_the_first_class_is_predicted() -> None:
    figures = made([0, 5, 4, 7], [[0.0] * 8] * 4, "abcdefgh")
    assert figures.predicted.tolist() == [0, 0, 0, 0]
    assert figures.top1 == 0.25
    assert figures.top5 == 0.5


def test_figures_of_random_logits_are_those_of_sklearn() -> None:
    from sklearn import metrics

    draw = np.random.default_rng(0)
    labels, logits = draw.integers(0, 9, 400), draw.normal(size=(400, 9)).astype(np.float32)
    figures = made(labels.tolist(), logits.tolist(), "abcdefghi")
    assert figures.top1 == pytest.approx(metrics.accuracy_score(labels, logits.argmax(1)))
    assert figures.top5 == pytest.approx(metrics.top_k_accuracy_score(labels, logits, k=5))
    assert figures.balanced == pytest.approx(metrics.balanced_accuracy_score(labels, logits.argmax(1)))
    assert figures.loss == pytest.approx(metrics.log_loss(labels, figures.probabilities))
    assert figures.loss == pytest.approx(
        float(torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))), rel=1e-6
    )


@pytest.mark.parametrize("counts", [(5, 5, 5), (9, 2, 1), (3, 0, 4)])
def test_figures_equal_an_independent_path(trained: Run, tmp_path: Path, counts: tuple[int, int, int]) -> None:
    """The exported source over torchvision's ImageFolder, with sums by hand."""
    for seed, (name, count) in enumerate(zip(("blue", "green", "red"), counts, strict=True)):
        if count:
            paint(tmp_path / "set" / name, name, count, 100 + seed)
    folder = ImageFolder(str(tmp_path / "set"))
    paths = [path for path, _ in folder.samples]
    outputs = outputs_of(exported(trained, tmp_path), trained.preprocess(paths))
    labels = torch.tensor([("blue", "green", "red").index(Path(path).parent.name) for path in paths])
    figures = trained.evaluate(f'data folder "{tmp_path / "set"}"')
    assert np.abs(figures.logits - outputs.numpy()).max() < 1e-4
    assert figures.labels.tolist() == labels.tolist()
    assert figures.top1 == float((outputs.argmax(1) == labels).double().mean())
    assert figures.loss == pytest.approx(float(torch.nn.functional.cross_entropy(outputs, labels)), abs=1e-5)
    absent = [
        f"the dataset doesn't have 1 of the model's 3 classes: `{name}`"
        for name, count in zip(("blue", "green"), counts, strict=False)
        if not count
    ]
    assert absent == [note for note in figures.notes if "dataset" in note]


def test_a_class_without_held_out_images_is_named_once(trained: Run, tmp_path: Path) -> None:
    for name, count in (("blue", 6), ("green", 6), ("red", 6)):
        paint(tmp_path / "set" / "train" / name, name, count, 7)
        paint(tmp_path / "set" / "val" / name, name, count * (name != "green"), 8)
    (tmp_path / "set" / "val" / "green").mkdir(exist_ok=True)
    figures = trained.evaluate(f'data folder "{tmp_path / "set"}"')
    said = [note for note in (*figures.notes, *figures.data_notes) if "green" in note]
    assert said == [f"`{tmp_path / 'set' / 'val'}` has no images of 1 of 3 classes: `green`"]


def test_errors_are_in_the_order_of_the_probability_of_their_class() -> None:
    figures = made([0, 1], [[0, 1, 5], [4, 1, 0]])
    *_, errors = figures.to_text().rstrip("\n").split("\n\n")
    heads, first, second = (line.split() for line in errors.split("\n"))
    assert heads == "worst errors class probability predicted as probability".split()
    assert first[1:] == ["a", "0.66%", "c", "97.56%"]
    assert second[1:] == ["b", "4.66%", "a", "93.62%"]
    assert "Not listed: " not in figures.to_html()
    assert "Not listed: 1 class without images and predictions." in made([0], [[1, 0]], "ab").to_html()


def test_a_run_is_evaluated_on_its_own_held_out_images(trained: Run) -> None:
    figures = trained.evaluate()
    assert figures.notes == ()
    assert len(figures.labels) == 15
    assert figures.top1 == pytest.approx(trained.summary["top1"])
    assert figures.loss == pytest.approx(trained.summary["loss"], rel=1e-4)


def test_of_images_that_are_gone_the_recorded_outputs_are_evaluated(alone: Run) -> None:
    figures = alone.evaluate()
    assert figures.top1 == alone.summary["top1"]
    assert figures.loss == pytest.approx(alone.summary["loss"], rel=1e-6)
    assert (len(figures.labels), figures.images[0]) == (15, "val/blue/0.png")
    (note,) = figures.notes
    assert note.endswith("so the held-out images were not read: the figures are of the outputs that the training "
                         "recorded for them, computed in fp32")  # fmt: skip
    done = command("evaluate", alone.folder, "--html", alone.folder.parent / "page.html")
    assert (done.status, done.stderr) == (0, "")
    assert note in done.stdout
    assert marked(note) in (alone.folder.parent / "page.html").read_text()


def test_the_page_has_notes_on_the_dataset_at_its_end_and_code_as_code() -> None:
    figures = attrs.evolve(made([0, 1], [[1, 0, 0], [1, 0, 0]]), notes=("see `a<b`",), data_notes=("ignored in `x y`",))
    page, text = figures.to_html(), figures.to_text()
    assert page.index("<code>a&lt;b</code>") < page.index("<h2>Classes</h2>") < page.index("<code>x y</code>")
    assert "`" not in page
    assert "note: see `a<b`\nnote: ignored in `x y`" in text
    assert figures.to_dict()["notes"] == ["see `a<b`", "ignored in `x y`"]


def test_the_text_has_paths_that_are_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    figures = attrs.evolve(
        made([0], [[0, 1]], "ab"), data=f'data folder "{tmp_path}/p"', images=(f"{tmp_path}/p/a/1.png",),
        notes=(f"ignored in `{tmp_path}/p`: 1 file",),
    )  # fmt: skip
    text = figures.to_text()
    assert str(tmp_path) not in text
    assert 'on data folder "p"' in text
    assert "note: ignored in `p`: 1 file" in text
    assert "\np/a/1.png     a  " in text
    assert figures.to_dict()["notes"] == [f"ignored in `{tmp_path}/p`: 1 file"]


def test_notes_are_about_the_images_that_are_evaluated(data: Path, trained: Run, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "photos")
    for part in ("train", "val"):
        Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(tmp_path / "photos" / part / "red" / "clear.png")
    figures = trained.evaluate(f'data folder "{tmp_path / "photos"}"', workers=0)
    assert not [note for note in figures.notes if "transparency" in note]
    assert [note.partition("has")[0] for note in figures.data_notes] == ["1 of 16 held-out images "]


def test_recorded_outputs_that_are_damaged_are_refused(alone: Run, tmp_path: Path) -> None:
    copy = shutil.copytree(alone.folder, tmp_path / "copy")
    file = copy / "evaluation.npz"
    file.write_bytes(file.read_bytes()[:-1])
    done = command("evaluate", copy)
    assert (done.status, done.stdout) == (2, "")
    assert "error[E120]" in done.stderr


def test_images_that_are_gone_are_an_error_if_nothing_was_recorded(alone: Run, tmp_path: Path) -> None:
    copy = shutil.copytree(alone.folder, tmp_path / "copy")
    (copy / "summary.json").unlink()  # as if it had been stopped
    done = command("evaluate", copy)
    assert done.status == 2
    assert "error[E070]: `data folder`: the folder" in done.stderr
    assert """= help: name other images: `recipe evaluate RUN 'data folder "PATH"'`""" in done.stderr


def test_changed_held_out_images_are_reported(tmp_path: Path) -> None:
    data = photos(tmp_path / "photos", train=4, val=2)
    run = recipe.run(recipe_of(data, epochs=1), out=tmp_path / "run", device="cpu")
    (data / "val" / "red" / "0.png").unlink()
    assert "the held-out images are not those that the run was evaluated on" in run.evaluate().notes


def test_classes_are_matched_by_name(trained: Run, tmp_path: Path) -> None:
    """Only two of three classes, whose indices in the folder differ from those in the model."""
    for name in ("green", "red"):
        paint(tmp_path / "set" / name, name, 4, 7)
    figures = trained.evaluate(f'data folder "{tmp_path / "set"}"')
    assert {*figures.labels.tolist()} == {1, 2}
    assert figures.top1 == 1
    paint(tmp_path / "set" / "yellow", "red", 1, 7)
    with pytest.raises(RecipeError, match=r"E129.*not trained on the class `yellow`"):
        trained.evaluate(f'data folder "{tmp_path / "set"}"')


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("lr 0.5", "`lr` can't be replaced in an evaluation"),
        ("augment flip; batch 4", "`augment flip` can't be replaced"),
        ("base resnet18", "`base` can't be replaced"),
        ('data folder "{data}" size=64', "the run was trained on images of 32 pixels, not 64"),
        ("data fake classes=5", "5 classes, but the model was trained on 3"),
    ],
)
def test_only_the_data_and_the_batch_can_be_replaced(trained: Run, data: Path, statement: str, error: str) -> None:
    with pytest.raises(RecipeError, match=f"E129.*{error}"):
        trained.evaluate(statement.format(data=data))


def test_images_keep_the_size_of_the_run(trained: Run, data: Path) -> None:
    """A new `data folder` would suggest 224 pixels."""
    figures = trained.evaluate(f'data folder "{data}"', "batch 4")
    assert "size=32" in figures.data
    assert figures.top1 == trained.evaluate().top1


def test_logits_that_are_not_finite_are_refused(trained: Run, tmp_path: Path) -> None:
    broken = recipe.load(trained.folder, device="cpu")
    with torch.no_grad():
        next(broken.model.parameters()).fill_(float("nan"))
    with pytest.raises(RecipeError, match=r"E129.*not finite for 15 images, such as"):
        broken.evaluate()


def test_images_that_cannot_be_read_are_counted(trained: Run, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "val", folder := tmp_path / "set")
    (folder / "red" / "x.png").write_bytes(b"broken")
    statement = f'data folder "{folder}" on-error=skip'
    done = command("evaluate", trained.folder, statement, "--json")
    assert done.status == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("note: skipped: the image `")
    figures = json.loads(done.stdout)
    assert (figures["images"], len(figures["skipped"])) == (15, 1)
    with pytest.raises(RecipeError, match="E070"):
        trained.evaluate(f'data folder "{folder}"')


def test_a_run_that_skips_images_skips_them_in_its_evaluation(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 4, 2)
    (folder / "val" / "red" / "x.png").write_bytes(b"broken")
    text = f'base timm:test_resnet; data folder "{folder}" size=32 workers=0 on-error=skip; batch 4; epochs 1; lr 0.01'
    run = recipe.run(text, out=tmp_path / "run", device="cpu")
    for statements in ([], [f'data folder "{folder}"']):
        figures = run.evaluate(*statements)
        assert (len(figures.labels), len(figures.skipped)) == (6, 1)
    with pytest.raises(RecipeError, match="E070"):
        run.evaluate(f'data folder "{folder}" on-error=fail')


def test_three_processes_give_the_same_figures(trained: Run, data: Path, tmp_path: Path) -> None:
    """Also with an image that can't be read, which only the first process reports."""
    shutil.copytree(data / "val", folder := tmp_path / "set")
    (folder / "green" / "x.png").write_bytes(b"broken")
    words = ["evaluate", str(trained.folder), f'data folder "{folder}" on-error=skip', "--json", "--batch", "4"]
    one = command(*words)
    assert one.status == 0, one.stderr
    done = subprocess.run(
        [sys.executable, "-m", "recipe", *words, "--nproc", "3"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(one.stdout)
    assert done.stderr.count("can't be decoded") == 1


def test_a_pretrained_model_is_evaluated_as_it_is(trained: Run, data: Path, tmp_path: Path) -> None:
    weights = trained.folder / "model.safetensors"
    text = f'base squeezenet1_1 weights="{weights}"; data folder "{data}" size=32 workers=0'
    done = command("evaluate", text, "--json")
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["top1"] == trained.evaluate().top1


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("base resnet18; data digits", "the recipe loads no weights"),
        ("base resnet18", "names no dataset"),
        ("base timm:test_resnet weights={weights}; data fake classes=4 images=8 size=32", "the model has 10 outputs"),
    ],
)
def test_a_model_that_is_not_trained_is_refused(tmp_path: Path, text: str, error: str) -> None:
    if "{weights}" in text:
        run = train(tmp_path / "run")
        text = text.format(weights=json.dumps(str(run.folder / "model.safetensors")))
    done = command("evaluate", text)
    assert done.status == 2
    assert "error[E129]" in done.stderr
    assert error in done.stderr


def test_the_page_is_self_contained_and_shows_the_errors(trained: Run, tmp_path: Path) -> None:
    for name, color in (("red", "blue"), ("blue", "blue")):
        paint(tmp_path / "<i>" / name, color, 3, 5)
    done = command("evaluate", trained.folder, f'data folder "{tmp_path / "<i>"}"', "--html", tmp_path / "page.html")
    assert done.status == 0, done.stderr
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "<i>/" not in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "50.00%" in page


def test_it_says_what_was_confused(trained: Run, tmp_path: Path) -> None:
    paint(tmp_path / "set" / "red", "blue", 3, 5)
    done = command("evaluate", trained.folder, f'data folder "{tmp_path / "set"}"')
    assert done.status == 0
    assert re.search(r"most confused +predicted as +images\nred +blue +3\n", done.stdout)
    assert str(tmp_path / "set" / "red" / "0.png") in done.stdout


def test_other_outputs_than_classes_have_their_index_as_name(tmp_path: Path) -> None:
    run = recipe.run(TINY.replace("base timm:test_resnet", "base timm:test_resnet classes=12"), out=tmp_path / "run")
    figures = run.evaluate()
    assert figures.names == tuple(map(str, range(12)))
    assert len(run.predict(np.zeros((32, 32, 3), np.uint8))[0].indices) == 12


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    run = train(tmp_path / "run")
    save_file({"x": torch.zeros(1)}, run.folder / "model.safetensors")
    done = command("evaluate", run.folder)
    assert done.status == 2
    assert "error[E120]" in done.stderr


def test_a_page_replaces_nothing_but_a_page(alone: Run, tmp_path: Path) -> None:
    copy = shutil.copytree(alone.folder, tmp_path / "copy")
    weights = (copy / "model.safetensors").read_bytes()
    for words in (("evaluate", copy), ("diff", copy, alone.folder)):
        done = command(*words, "--html", copy / "model.safetensors")
        assert done.status == 2
        assert "error[E111]" in done.stderr
        assert (copy / "model.safetensors").read_bytes() == weights
        for _ in range(2):
            assert command(*words, "--html", tmp_path / "page.html").status in (0, 1)


@pytest.mark.parametrize("most", [-1, "x", 1.5])
def test_a_number_of_lines_that_is_none_is_refused(most: object) -> None:
    figures = made([0, 1], [[1, 0, 0], [1, 0, 0]])
    for method in (figures.confused, figures.worst):
        with pytest.raises(ValueError, match="`most` must be a whole number of at least 0"):
            method(most)  # type: ignore[arg-type]


def test_statements_that_are_not_text_are_refused(alone: Run) -> None:
    with pytest.raises(TypeError, match="`statements` must be text, not 3"):
        alone.evaluate(3)  # type: ignore[arg-type]
