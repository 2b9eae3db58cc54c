"""The images of a test are evaluated once, at the end of a run, and choose nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

import recipe
from recipe.api import InMemory, Sets, Trick, integer, trick
from recipe.base.errors import RecipeError
from recipe.base.signals import Interrupted
from recipe.inference.datasets import open_sets
from recipe.inference.run import Run
from recipe.plan.bind import resolve
from recipe.training import early_end
from recipe.training.engine import Request, dry
from recipe.training.reporting import Listener, closing
from recipe.training.trainer import Trainer
from tests.helpers import bind, command, vocabulary_with
from tests.inference.helpers import COLORS, paint

TEXT = 'base timm:test_resnet; data folder "{}" size=32 workers=0 {}; batch 8; epochs 2; lr 0.01; keep best'
SPLIT = "val=30% test=30%"


class Told(Listener):
    """Remembers the notes, and sends a signal at one that starts with certain words."""

    def __init__(self, ends_at: str = "") -> None:
        self.notes, self.ends_at = list[str](), ends_at

    def note(self, text: str) -> None:
        self.notes.append(text)
        if self.ends_at and text.startswith(self.ends_at):
            os.kill(os.getpid(), signal.SIGINT)


def write(root: Path, count: int = 12) -> Path:
    for label, name in enumerate(COLORS):
        paint(root / name, name, count, label)
    return root


@pytest.fixture(scope="module")
def colors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "colors")


@pytest.fixture(scope="module")
def run(colors: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(colors, tmp_path_factory.mktemp("runs") / "run")


def train(data: Path, out: Path, *statements: str, words: str = SPLIT, **options: object) -> Run:
    return recipe.run(TEXT.format(data, words), *statements, out=out, device="cpu", **options)  # type: ignore[arg-type]


def lines(run: Run, kind: str) -> list[dict[str, object]]:
    return [line for line in run.metrics if line["kind"] == kind]


def test_the_kept_weights_are_evaluated_on_them_once(run: Run) -> None:
    result = {name: value for name, value in run.summary["test"].items() if name != "images"}
    (line,) = lines(run, "test")
    assert line == {"kind": "test", "step": run.summary["steps"], "epoch": 2.0, **result}
    assert run.metrics[-1] == line
    figures = run.evaluate(on="test")
    assert len(figures.labels) == run.summary["test"]["images"]
    assert figures.top1 == pytest.approx(result["top1"])
    assert figures.loss == pytest.approx(result["loss"], rel=1e-3)
    assert not {*figures.images} & {*run.evaluate().images}


def test_they_choose_nothing(run: Run, colors: Path, tmp_path: Path) -> None:
    """The same training without a test: its weights, its choice and its evaluations are the same."""
    again = train(colors, tmp_path / "run", test=False)
    assert "test" not in again.summary
    assert lines(again, "test") == []
    assert again.summary["weights_sha256"] == run.summary["weights_sha256"]
    assert lines(again, "evaluation") == lines(run, "evaluation")
    assert again.summary["best"] == run.summary["best"]


def test_what_is_printed(run: Run, colors: Path) -> None:
    test = run.summary["test"]
    assert closing(run.summary).endswith(f"; top-1 {test['top1']:.2%}, loss {test['loss']:.4f} on test images")
    told = Told()
    dry(Request(plan=resolve(TEXT.format(colors, SPLIT), data=True), device="cpu", listener=told))
    assert f" held out, {test['images']} for a test; 2 epochs of" in told.notes[-1]


def test_an_explanation_of_the_run_shows_the_result(run: Run) -> None:
    test = run.summary["test"]
    said = f"top-1 {test['top1']:.2%}, loss {test['loss']:.4f} on {test['images']} images"
    assert said in command("explain", run.folder).stdout


def test_a_run_that_is_stopped_during_the_test_resumes_with_it(run: Run, colors: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(colors, tmp_path / "run", listener=Told("evaluating the kept weights on"))
    assert not (tmp_path / "run" / "summary.json").exists()
    again = train(colors, tmp_path / "run", resume=True)
    assert again.summary["test"] == run.summary["test"]
    assert len(lines(again, "test")) == 1


class Ending(Listener):
    """Ends the training early, after its first step."""

    def asks_to_finish(self) -> bool:
        return True


def test_a_run_that_ended_early_is_tested_again_at_its_end(
    run: Run, colors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early_end, "LOOK_EVERY", 0.0)
    ended = train(colors, tmp_path / "run", listener=Ending())
    assert ended.summary["status"] == "ended early"
    assert ended.summary["test"]["images"] == run.summary["test"]["images"]
    again = train(colors, tmp_path / "run", resume=True)
    assert again.summary["test"] == run.summary["test"]
    assert len(lines(again, "test")) == 1


def test_an_early_end_leaves_time_for_the_test(colors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluations that follow an early end are those of the held-out images and of the test."""
    seen = list[float]()

    def reason(self: object, folder: Path, evaluations: float = 1.0) -> int:
        seen.append(evaluations)
        return 0

    monkeypatch.setattr(early_end.EarlyEnd, "reason", reason)
    run = train(colors, tmp_path / "run", "epochs 1; drop keep best")
    held_out = len(run.evaluate().labels)
    assert {*seen} == {1 + run.summary["test"]["images"] / held_out}


def test_images_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    data = tmp_path / "parts"
    for part in ("train", "val", "test"):
        write(data / part, 3)
    (data / "test" / "red" / "1.png").write_bytes(b"broken")
    run = train(data, tmp_path / "run", "epochs 1", words="on-error=skip")
    assert run.summary["skipped"] == {"training": 0, "evaluation": 0, "test": 1}
    (line,) = lines(run, "skipped")
    assert (line["part"], line["image"]) == ("test", 7)


def test_a_loss_that_is_not_finite_is_an_error(colors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = Trainer.evaluate

    def broken(self: Trainer, *arguments: object, images: object = None, **options: object) -> object:
        found = evaluate(self, *arguments, images=images, **options)  # type: ignore[arg-type]
        if images is not None and found is not None:
            found.result["loss"] = float("nan")
        return found

    monkeypatch.setattr(Trainer, "evaluate", broken)
    with pytest.raises(RecipeError, match=r"E112.*the loss on the test images is not finite"):
        train(colors, tmp_path / "run", "epochs 1")


@trick("data untested", writes=("data",))
class Untested(Trick):
    """A dataset whose test has no images."""

    size: int = integer(32, "height and width of the images")
    workers: int = integer(0, "processes that load batches", result=False)

    def open(self) -> Sets:
        pixels, labels = torch.zeros(8, 3, self.size, self.size, dtype=torch.uint8), torch.arange(8) % 2
        images, none = InMemory(pixels, labels), InMemory(pixels[:0], labels[:0])
        return Sets(images, images, 2, test=none)


def test_a_test_needs_images() -> None:
    words = vocabulary_with(Untested)
    with pytest.raises(RecipeError, match=r"E070.*`data untested` has no images in its test"):
        open_sets(bind("base resnet18; data untested", words=words))


# ---- other images than before


def test_changed_test_images_are_noticed(tmp_path: Path) -> None:
    data = write(tmp_path / "data")
    run = train(data, tmp_path / "run", "epochs 1")
    image = run.evaluate(on="test").images[0]
    shutil.copy(next((data / "red").iterdir()), data / image)
    assert "the test images are not those that the run was evaluated on" in run.evaluate(on="test").notes
    assert not any("not those" in note for note in run.evaluate().notes)
    with pytest.raises(RecipeError, match=r"E113.*the test images are different"):
        train(data, tmp_path / "run", "epochs 1", resume=True)


# ---- evaluation


def test_the_command_evaluates_them_too(run: Run) -> None:
    done = command("evaluate", run.folder, "--on", "test", "--json")
    assert done.status == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["images"] == run.summary["test"]["images"]
    assert figures["notes"][0] == "evaluated on the test images"


def test_without_them_there_is_no_evaluation_on_them(run: Run) -> None:
    with pytest.raises(RecipeError, match=r"E129.*`data fake` has no test images"):
        run.evaluate("data fake size=32 classes=3 images=8", on="test")
    with pytest.raises(ValueError, match="`on` must be `val` or `test`, not 'train'"):
        run.evaluate(on="train")


def test_other_images_are_all_evaluated_unless_the_run_was_trained_on_them(
    run: Run, colors: Path, tmp_path: Path
) -> None:
    shutil.copytree(colors, tmp_path / "copy")
    other = run.evaluate(f'data folder "{tmp_path / "copy"}"')
    assert len(other.labels) == 36
    assert other.notes[-1].startswith("evaluated on 36 images instead of the held-out ones")
    own = run.evaluate(f'data folder "{colors}"')
    assert len(own.labels) < 36
    assert not own.trained_on  # 20 % are a part of the 30 % of its test
    most = run.evaluate(f'data folder "{colors}" val=90%')
    trained = {str(path) for path in colors.rglob("*.png")}
    trained -= {*run.evaluate().images, *run.evaluate(on="test").images}
    assert len(trained) == run.summary["training_images"]
    seen = len(trained & {*most.images})
    assert most.trained_on == seen
    others = [at for at, image in enumerate(most.images) if image not in trained]
    right = sum(most.predicted[at] == most.labels[at] for at in others)
    assert most.top1_unseen == right / len(others)
    _, warning, table, *_ = most.to_text().split("\n\n")
    assert warning.startswith(f"warning: the run was trained on {seen} of these {len(most.images)} images, so the")
    assert warning.endswith(f"top-1 of the other {len(others)} is {right / len(others):.2%}")
    assert table.startswith("images ")
    assert warning.partition(": ")[2] in most.to_html()


def test_the_weights_of_a_run_are_evaluated_on_what_is_held_out(run: Run, colors: Path) -> None:
    """It may have been trained on all the others."""
    text = f'base timm:test_resnet weights="{run.folder}"; data folder "{colors}" size=32 workers=0'
    done = command("evaluate", text, "--json")
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["images"] < 36
