"""A training that is asked to end early: it evaluates, writes its results, and can be trained to its end later."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import recipe
from recipe.base.errors import RecipeError
from recipe.plan.bind import resolve
from recipe.runs import requests
from recipe.runs.layout import finished_run, is_finished
from recipe.runs.reader import read_summary
from recipe.runs.time_limit import TimeLimit
from recipe.runs.weights import packed_weights
from recipe.testing.rules.resume import digest_of
from recipe.training import early_end
from recipe.training.early_end import EarlyEnd
from recipe.training.reporting import Listener, closing
from recipe.training.trainer import Trainer
from tests.helpers import ROOT, command
from tests.training.helpers import TINY, train


class Asking(Listener):
    """Calls a function after a step, and remembers the notes."""

    def __init__(self, at: int, ask: Callable[[Path], object]) -> None:
        self.at, self.ask, self.notes, self.folder, self.epochs = at, ask, list[str](), Path(), list[int]()
        self.wants = False

    def note(self, text: str) -> None:
        self.notes.append(text)

    def start(self, program: recipe.Program, folder: Path, step: int, steps: int, steps_per_epoch: int) -> None:
        self.folder = folder

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        if step == self.at:
            self.ask(self.folder)

    def epoch(self, number: int, result: dict[str, float]) -> None:
        self.epochs.append(number)

    def asks_to_finish(self) -> bool:
        return self.wants


@pytest.fixture(autouse=True)
def _at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_end, "LOOK_EVERY", 0.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    return digest_of(train(tmp_path_factory.mktemp("runs") / "whole", "ema 0.9").folder)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_a_run_that_ends_early_has_results_and_resumes_to_the_same_bits(step: int, whole: str, tmp_path: Path) -> None:
    asking = Asking(step, requests.ask)
    run = train(tmp_path / "run", "ema 0.9", listener=asking)
    done = {1: 1 / 3, 2: 2 / 3, 3: 1, 5: 5 / 3}[step]
    summary = read_summary(run.folder)
    assert (summary["status"], summary["steps"], summary["planned_epochs"]) == ("ended early", step, 2)
    assert summary["epochs"] == pytest.approx(done)
    said = f"ended early after step {step} of 6: `recipe finish` asked for it"
    assert said in summary["notes"]
    assert said + ("; evaluating" if step % 3 else "") in asking.notes
    assert f'to train to the end: recipe.run("{run.folder}", resume=True, device="cpu")' in asking.notes
    assert asking.epochs == [1] * (step >= 3), "the evaluation of a part of an epoch is not one of the epoch"
    evaluations = [line for line in lines_of(run.folder) if line["kind"] == "evaluation"]
    assert [line["step"] for line in evaluations] == sorted({3, step} & {*range(step + 1)})
    assert {name: evaluations[-1][name] for name in ("loss", "top1")} == {
        name: summary[name] for name in ("loss", "top1")
    }
    assert packed_weights(run.folder), "they are those that the summary names"
    assert (run.folder / "checkpoints" / f"step-{step:09d}.pt").is_file()
    assert not (run.folder / requests.NAME).exists()
    plan = resolve(TINY, "ema 0.9", data=True)
    assert (is_finished(run.folder, plan), finished_run(tmp_path, plan)) == (False, None)
    resumed = train(tmp_path / "run", "ema 0.9", resume=True)
    assert (resumed.summary["status"], resumed.summary["epochs"]) == ("finished", 2)
    assert not any("ended early" in note for note in resumed.summary["notes"])
    assert digest_of(resumed.folder) == whole


def test_what_is_printed_states_how_much_was_trained(tmp_path: Path) -> None:
    run = train(tmp_path / "run", listener=Asking(2, requests.ask))
    assert "on held-out images after 2 steps, 0.67 of 2 epochs (ended early), 0:0" in closing(run.summary)
    finished = train(tmp_path / "run", resume=True)
    assert "on held-out images after 2 epochs, 0:0" in closing(finished.summary)


def test_a_run_that_ended_early_can_be_exported(tmp_path: Path) -> None:
    run = train(tmp_path / "run", listener=Asking(2, requests.ask))
    done = command("export", run.folder, "--to", "safetensors", "--out", tmp_path / "x.safetensors")
    assert (done.status, done.stderr) == (0, "verified: logits equal the run's\n")


def test_a_request_in_the_last_step_changes_nothing(whole: str, tmp_path: Path) -> None:
    run = train(tmp_path / "run", "ema 0.9", listener=Asking(6, requests.ask))
    assert run.summary["status"] == "finished"
    assert not (run.folder / requests.NAME).exists()
    assert digest_of(run.folder) == whole


def test_a_listener_can_end_a_training(tmp_path: Path) -> None:
    asking = Asking(4, lambda folder: setattr(asking, "wants", True))
    run = train(tmp_path / "run", listener=asking)
    assert (run.summary["status"], run.summary["steps"]) == ("ended early", 4)
    assert "ended early after step 4 of 6: you asked for it" in run.summary["notes"]


def test_a_request_to_an_earlier_process_does_not_end_a_later_one(tmp_path: Path) -> None:
    def stop(folder: Path) -> None:
        requests.ask(folder)
        raise KeyboardInterrupt  # as if the process were killed before it reads the request

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests, "_withdraw", lambda folder, *names: None)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "run", listener=Asking(4, stop), save_every="1")
    assert (tmp_path / "run" / requests.NAME).is_file()
    asking = Asking(0, requests.ask)
    run = train(tmp_path / "run", resume=True, listener=asking)
    assert run.summary["status"] == "finished"
    assert not (tmp_path / "run" / requests.NAME).exists()
    assert any("was meant for an earlier process" in note for note in asking.notes)


def test_a_request_that_names_another_process_is_not_followed(tmp_path: Path) -> None:
    def ask(folder: Path) -> None:
        (folder / requests.NAME).write_text("process 1 on another machine")

    assert train(tmp_path / "run", listener=Asking(2, ask)).summary["status"] == "finished"


def test_a_training_ends_when_its_time_is_up(whole: str, tmp_path: Path) -> None:
    asking = Asking(0, requests.ask)
    run = train(tmp_path / "run", "ema 0.9", listener=asking, max_time="0.001s")
    assert (run.summary["status"], run.summary["steps"]) == ("ended early", 1), "at least one step is done"
    assert "ended early after step 1 of 6: the time of --max-time is up" in run.summary["notes"]
    assert f'to train to the end: recipe.run("{run.folder}", resume=True, device="cpu")' in asking.notes, (
        "without the limit"
    )
    again = train(tmp_path / "run", "ema 0.9", resume=True, max_time="0.001s")
    assert again.summary["steps"] == 2, "the time starts again"
    assert digest_of(train(tmp_path / "run", "ema 0.9", resume=True, max_time="1h").folder) == whole


def test_the_time_includes_the_evaluation_and_the_checkpoint(tmp_path: Path) -> None:
    ending = EarlyEnd(Listener(), TimeLimit(100.0), evaluation=60.0, saving=30.0)
    assert ending.reason(tmp_path) == 0
    assert ending.reason(tmp_path, evaluations=2) == 3
    ending.saving = 41.0
    assert ending.reason(tmp_path) == 3


def evaluations(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.0) -> list[int]:
    """Return the list of the steps at which a training evaluates. Each one takes ``seconds`` on the clock of limits."""
    steps, evaluate, clock = list[int](), Trainer.evaluate, time.monotonic

    def evaluated(self: Trainer, *arguments: Any, **options: Any) -> Any:
        steps.append(self.step)
        return evaluate(self, *arguments, **options)

    monkeypatch.setattr(Trainer, "evaluate", evaluated)
    monkeypatch.setattr(time, "monotonic", lambda: clock() + seconds * len(steps))
    return steps


@pytest.mark.parametrize(
    ("words", "limit", "expected"),
    [
        ("keep last", 3950, [3, 6, 9]),  # after the third evaluation, there is no time for another one
        ("keep last", 4950, [3, 6, 9, 12]),
        ("keep best by=loss", 4950, [3, 6, 9]),  # and another one, of the kept weights
    ],
)
def test_an_epoch_at_whose_end_the_time_is_up_is_evaluated_once(
    words: str, limit: int, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = evaluations(monkeypatch, 1000.0)
    run = train(tmp_path / "run", "epochs 9", words, max_time=f"{limit}s")
    again = [run.summary["steps"]] if run.summary["best"]["step"] != run.summary["steps"] and "best" in words else []
    assert (run.summary["status"], run.summary["steps"]) == ("ended early", expected[-1])
    assert steps == expected + again
    assert 1000.0 * len(steps) < limit


def test_a_request_before_the_end_of_an_epoch_needs_one_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = evaluations(monkeypatch)
    run = train(tmp_path / "run", listener=Asking(3, requests.ask))
    assert (run.summary["steps"], steps) == (3, [3])


def test_requests_are_looked_for_at_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_end, "LOOK_EVERY", 3600.0)
    asking = Asking(0, requests.ask)
    ending = EarlyEnd(asking)
    assert ending.reason(tmp_path) == 0
    asking.wants = True
    assert ending.reason(tmp_path) == 0
    assert EarlyEnd(asking).reason(tmp_path) == 2


@pytest.mark.parametrize("text", ["", "0s", "2", "soon", "-1h"])
def test_an_invalid_time_is_an_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"E118.*`max_time`"):
        train(tmp_path / "run", max_time=text)
    assert not (tmp_path / "run").exists()


def test_a_teacher_that_ended_early_is_trained_to_its_end(tmp_path: Path) -> None:
    teacher = tmp_path / "teacher.recipe"
    teacher.write_text(TINY)
    text = f'{TINY}; loss distill "{teacher}"'
    with pytest.raises(RecipeError, match=r"E133.*teacher-\w+` ended early, after step 2") as caught:
        train(tmp_path / "runs" / "a", text=text, listener=Asking(2, requests.ask))
    assert "rerun the command to train the teacher" in caught.value.diagnostics[0].help
    (folder,) = (tmp_path / "runs").glob("teacher-*")
    assert read_summary(folder)["status"] == "ended early"
    run = train(tmp_path / "runs" / "a", text=text, resume=True)
    assert run.summary["status"] == read_summary(folder)["status"] == "finished"


def test_a_request_to_a_student_ends_its_teacher(tmp_path: Path) -> None:
    """While a teacher trains, its student holds its own folder if it has one."""
    teacher, student = tmp_path / "teacher.recipe", tmp_path / "runs" / "a"
    teacher.write_text(TINY)
    text = f'{TINY}; loss distill "{teacher}"'

    def again(at: int, ask: Callable[[Path], object]) -> recipe.Run:
        return train(student, text=text, resume=True, listener=Asking(at, ask))

    student.mkdir(parents=True)
    with pytest.raises(RecipeError, match=r"E133.*teacher-\w+` ended early, after step 2"):
        again(2, lambda folder: requests.ask(student))
    (folder,) = (tmp_path / "runs").glob("teacher-*")
    assert "ended early after step 2 of 6: `recipe finish` asked for it" in read_summary(folder)["notes"]
    assert not (student / requests.NAME).exists()
    assert again(0, requests.ask).summary["status"] == "finished"


def test_the_pages_name_the_file_of_a_request() -> None:
    assert f"| `{requests.NAME}` |" in (ROOT / "docs/reference/run-folder.md").read_text("utf-8")
