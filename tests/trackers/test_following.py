"""Trackers: the numbers of `metrics.jsonl`, whenever and however often a run is logged."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import pytest

from recipe.base.errors import RecipeError
from recipe.base.sealed import write_sealed
from recipe.base.typed_json import MOST
from recipe.runs.beginning import clean_metrics
from recipe.runs.layout import clear
from recipe.runs.reader import summary_of
from recipe.trackers import following
from recipe.trackers.following import follow
from recipe.trackers.tracker import TRACKERS, TrackedRun, Tracker
from tests.helpers import ROOT, command
from tests.training.helpers import TINY, train


@attrs.define
class Memory:
    """Keeps what is logged."""

    logged: list[tuple[int, dict[str, float]]] = attrs.field(factory=list)
    runs: list[TrackedRun] = attrs.field(factory=list)
    results: dict[str, float | str] = attrs.field(factory=dict)
    fails: int = 0
    """At which call of `log` it fails, or 0."""

    def open(self, run: TrackedRun) -> Memory:
        self.runs.append(run)
        return self

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if self.fails and len(self.logged) + 1 == self.fails:
            raise OSError("no network")
        self.logged.append((step, dict(values)))

    def flush(self) -> None: ...

    def finish(self, results: Mapping[str, float | str]) -> None:
        self.results = dict(results)

    def tracker(self, rewrites: bool = False) -> Tracker:
        return Tracker("Memory", "", self.open, rewrites=rewrites)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("runs") / "tiny").folder


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def expected(folder: Path) -> list[tuple[int, dict[str, float]]]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [
        (
            line["step"],
            {"epoch": line["epoch"]}
            | {
                f"{line['kind']}/{name}": line[name]
                for name in line
                if name not in ("kind", "step", "epoch", "metrics")
            }
            | {f"evaluation/{name}": value for name, value in line.get("metrics", {}).items()},
        )
        for line in lines
    ]


def metrics_in_csv(folder: Path) -> list[tuple[float, dict[str, float]]]:
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return [(row.pop("step"), row) for row in rows]


def test_a_finished_run_is_logged_with_all_its_numbers(copy: Path) -> None:
    memory = Memory()
    assert follow(copy, memory.tracker(), {"lr": "0.01"}) == 8  # two epochs of three steps, each with an evaluation
    assert memory.logged == expected(copy)
    assert set(memory.logged[0][1]) == {"epoch", "train/loss", "train/top1", "train/lr", "train/images_per_second"}
    summary = json.loads((copy / "summary.json").read_text())
    assert memory.results["status"] == "finished"
    assert memory.results["top1"] == summary["top1"]
    (run,) = memory.runs
    assert (run.name, run.settings) == ("copy", {"lr": "0.01"})


def test_metrics_of_plugins_and_the_best_and_last_evaluation_are_logged(copy: Path) -> None:
    lines = list(map(json.loads, (copy / "metrics.jsonl").read_text().splitlines()))
    metrics = {"f1": 0.25, "loss_of_f1": 1, "step": 0.75}
    lines[-1]["metrics"] = metrics
    (copy / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = summary_of(copy) | {"metrics": metrics}
    summary["last"]["metrics"] = metrics
    write_sealed(copy / "summary.json", summary)
    memory = Memory()
    follow(copy, memory.tracker(), {})
    assert memory.logged == expected(copy)
    assert {f"evaluation/{name}" for name in metrics} < set(memory.logged[-1][1])
    assert memory.results["metrics/f1"] == memory.results["last/metrics/f1"] == 0.25
    assert memory.results["best/top1"] == summary["best"]["top1"]
    assert memory.results["last/loss"] == summary["last"]["loss"]
    assert "schema_version" not in memory.results


def test_a_run_that_is_logged_again_keeps_its_identity_and_logs_nothing_twice(copy: Path) -> None:
    memory = Memory()
    follow(copy, memory.tracker(), {})
    assert follow(copy, memory.tracker(), {}) == 0
    assert memory.logged == expected(copy)
    assert memory.runs[0].id == memory.runs[1].id


def test_a_resumed_run_whose_last_lines_were_removed_is_logged_once(copy: Path) -> None:
    """A training that was killed writes the lines after its checkpoint again, with the same numbers."""
    metrics, whole = copy / "metrics.jsonl", (copy / "metrics.jsonl").read_text().splitlines(keepends=True)
    summary = (copy / "summary.json").read_text()
    (copy / "summary.json").unlink()
    memory, told = Memory(), list[str]()
    for part in (whole[:6], whole[:4], whole[:5], whole):
        metrics.unlink()
        metrics.write_text("".join(part))
        if part == whole:
            (copy / "summary.json").write_text(summary)
        follow(copy, memory.tracker(), {}, told.append)
    assert memory.logged == expected(copy)
    assert len({run.id for run in memory.runs}) == 1
    assert told == []


NEW = "the run no longer has the lines that were logged to Memory: logged as a new run"


def test_another_run_in_the_folder_is_logged_as_a_new_one(copy: Path) -> None:
    """It is that of the same recipe, so its numbers are the same, except for the speed."""
    memory, told = Memory(), list[str]()
    follow(copy, memory.tracker(), {}, told.append)
    lines = list(map(json.loads, (copy / "metrics.jsonl").read_text().splitlines()))
    for line in lines:
        if line["kind"] == "train":
            line["images_per_second"] += 1
    (copy / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    memory.logged.clear()
    assert follow(copy, memory.tracker(), {}, told.append) == 8
    assert memory.logged == expected(copy)
    assert memory.runs[0].id != memory.runs[1].id
    assert told == [NEW]
    assert follow(copy, memory.tracker(), {}, told.append) == 0
    assert memory.runs[1].id == memory.runs[2].id


@pytest.mark.parametrize("steps", [4, 2])
def test_a_run_that_another_recipe_goes_on_with_is_logged_as_a_new_one(copy: Path, steps: int) -> None:
    """The second epoch has fewer steps, or as many with other numbers. Its lines were cut after the first one."""
    memory, told = Memory(), list[str]()
    follow(copy, memory.tracker(), {}, told.append)
    first = (copy / "metrics.jsonl").read_text().splitlines(keepends=True)[:4]  # three steps, and an evaluation
    train, evaluation = (json.loads(line) for line in first[2:])
    for step in range(4, 3 + steps):
        first.append(json.dumps(train | {"step": step, "epoch": 1 + (step - 3) / (steps - 1)}) + "\n")
    first.append(json.dumps(evaluation | {"step": 2 + steps, "epoch": 2.0}) + "\n")
    (copy / "metrics.jsonl").write_text("".join(first))
    memory.logged.clear()
    follow(copy, memory.tracker(), {}, told.append)
    assert memory.logged == expected(copy)
    assert told == [NEW]
    assert memory.results["status"] == "finished"


def test_a_run_that_has_not_come_as_far_again_is_left_alone(copy: Path) -> None:
    memory, told = Memory(), list[str]()
    follow(copy, memory.tracker(), {}, told.append)
    (copy / "summary.json").unlink()
    (copy / "metrics.jsonl").write_text("")
    assert follow(copy, memory.tracker(), {}, told.append) == 0
    assert (len(memory.runs), memory.results["status"], told) == (1, "finished", [])


def test_an_early_end_that_was_taken_back_goes_on_in_the_same_run(copy: Path) -> None:
    """A resumed run lacks the evaluation at its early end. That one was logged, and it remains."""
    metrics, whole = copy / "metrics.jsonl", (copy / "metrics.jsonl").read_text().splitlines(keepends=True)
    early = json.loads(whole[3]) | {"step": 5, "epoch": 5 / 3}
    metrics.write_text("".join(whole[:6]) + json.dumps(early) + "\n")
    memory, told = Memory(), list[str]()
    follow(copy, memory.tracker(), {}, told.append)
    metrics.unlink()
    metrics.write_text("".join(whole))
    assert follow(copy, memory.tracker(), {}, told.append) == 2
    assert [entry for entry in memory.logged if entry[1] != memory.logged[6][1]] == expected(copy)
    assert (told, len({run.id for run in memory.runs})) == ([], 1)


def test_clearing_a_folder_forgets_what_was_logged(copy: Path) -> None:
    follow(copy, Memory().tracker(), {})
    clear(copy)
    assert not list(copy.glob(".log-*"))


def test_a_tracker_that_rewrites_gets_all_lines_again(copy: Path) -> None:
    memory = Memory()
    follow(copy, memory.tracker(rewrites=True), {})
    follow(copy, memory.tracker(rewrites=True), {})
    assert memory.logged == 2 * expected(copy)


def test_after_a_failure_the_rest_is_logged(copy: Path) -> None:
    memory = Memory(fails=4)
    with pytest.raises(RecipeError, match=r"E130.*Memory failed: OSError: no network"):
        follow(copy, memory.tracker(), {})
    memory.logged.clear()  # what was logged before a failure is not known to have arrived
    memory.fails = 0
    follow(copy, memory.tracker(), {})
    assert memory.logged == expected(copy)


def test_a_note_of_what_was_logged_that_is_too_large_starts_over(copy: Path) -> None:
    memory = Memory()
    follow(copy, memory.tracker(), {})
    with (copy / ".log-memory.json").open("a") as file:
        file.write(" " * MOST)
    assert follow(copy, memory.tracker(), {}) == 8


def test_a_damaged_note_of_what_was_logged_starts_over(copy: Path) -> None:
    memory = Memory()
    follow(copy, memory.tracker(), {})
    (copy / ".log-memory.json").write_text("[]")
    follow(copy, memory.tracker(), {})
    assert memory.logged == 2 * expected(copy)


def test_a_line_that_is_being_written_is_read_when_it_is_complete(copy: Path) -> None:
    metrics = copy / "metrics.jsonl"
    text = metrics.read_bytes()
    metrics.write_bytes(text[:-5])
    memory = Memory()
    follow(copy, memory.tracker(), {})
    assert len(memory.logged) == 7
    with metrics.open("ab") as file:
        file.write(text[-5:])
    follow(copy, memory.tracker(), {})
    assert memory.logged == expected(copy)


def test_a_stopped_run_says_so(copy: Path) -> None:
    (copy / "summary.json").unlink()
    memory = Memory()
    follow(copy, memory.tracker(), {})
    assert memory.results == {"status": "stopped"}


def test_csv_has_the_same_numbers(copy: Path) -> None:
    done = command("log", copy, "--to", "csv")
    assert (done.status, done.stdout, done.stderr) == (0, "", "8 lines logged to CSV\n")
    assert metrics_in_csv(copy) == expected(copy)


def test_csv_follows_a_run_that_is_resumed_after_an_early_end(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its evaluation within an epoch is removed from the file, which another one replaces while it is followed."""
    metrics, whole = copy / "metrics.jsonl", (copy / "metrics.jsonl").read_text().splitlines(keepends=True)
    early = json.dumps(json.loads(whole[3]) | {"step": 5, "epoch": 5 / 3}) + "\n"
    metrics.write_text("".join([*whole[:6], early]))
    seen = []

    def resumed(seconds: float) -> None:
        seen.append(metrics_in_csv(copy))
        if len(seen) == 1:
            assert seen == [expected(copy)]
            clean_metrics(copy, 5 / 3, evaluated=False)
            shutil.copy(tmp_path / "summary.json", copy)
            with metrics.open("a") as file:
                file.writelines(whole[6:])

    shutil.copy(copy / "summary.json", tmp_path)
    monkeypatch.setattr(following, "user_of", lambda folder: "process 1" if len(seen) < 1 else "")
    monkeypatch.setattr(following.time, "sleep", resumed)
    follow(copy, TRACKERS.find("csv"), {})
    assert metrics.read_text() == "".join(whole)
    assert metrics_in_csv(copy) == expected(copy)


def test_tensorboard_has_the_same_numbers(copy: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):  # logging again changes nothing
        assert command("log", copy, "--to", "tensorboard").status == 0
    events = EventAccumulator(str(copy / "tensorboard"))
    events.Reload()
    found = {(name, one.step): one.value for name in events.Tags()["scalars"] for one in events.Scalars(name)}
    wanted = {(name, step): value for step, values in expected(copy) for name, value in values.items()}
    assert found == pytest.approx(wanted, rel=1e-6)
    assert sum(len(events.Scalars(name)) for name in ("train/loss", "evaluation/loss")) == 8


def test_mlflow_has_the_same_numbers(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path / 'mlruns'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for _ in range(2):
        follow(copy, TRACKERS.find("mlflow"), {"lr": "0.01"})
    client = tracking.MlflowClient()
    experiment = client.get_experiment_by_name("recipe")
    (made,) = client.search_runs([experiment.experiment_id])
    names = {name for _, values in expected(copy) for name in values}
    found = [(name, one.step, one.value) for name in names for one in client.get_metric_history(made.info.run_id, name)]
    wanted = [(name, step, value) for step, values in expected(copy) for name, value in values.items()]
    assert sorted(found) == sorted(wanted)
    assert made.data.params == {"lr": "0.01"}
    assert (made.info.status, made.data.tags["recipe_status"]) == ("FINISHED", "finished")
    assert made.data.metrics["result/top1"] == summary_of(copy)["top1"]


def test_mlflow_has_the_status_of_a_run_that_ended_early(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path / 'mlruns'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    write_sealed(copy / "summary.json", summary_of(copy) | {"status": "ended early"})
    follow(copy, TRACKERS.find("mlflow"), {})
    client = tracking.MlflowClient()
    (made,) = client.search_runs([client.get_experiment_by_name("recipe").experiment_id])
    assert made.data.tags["recipe_status"] == "ended early"


def _records(path: Path) -> Iterator[bytes]:
    """Yield the records of a file of wandb, which has the format of LevelDB's log after seven bytes."""
    data, at, parts = path.read_bytes(), 7, list[bytes]()
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        parts.append(data[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield b"".join(parts)
            parts.clear()


def test_wandb_has_the_same_numbers(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    follow(copy, TRACKERS.find("wandb"), {"lr": "0.01"})
    (path,) = (copy / "wandb").glob("offline-run-*/*.wandb")
    found: dict[tuple[str, int], float] = {}
    for record in map(Record.FromString, _records(path)):
        values = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        step = values.get("_step", record.history.step.num)
        found |= {(name, step): value for name, value in values.items() if not name.startswith("_")}
    assert found == {(name, step): value for step, values in expected(copy) for name, value in values.items()}


def test_trackio_has_the_same_numbers(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    for _ in range(2):
        follow(copy, TRACKERS.find("trackio"), {"lr": "0.01"})
    with contextlib.closing(sqlite3.connect(next(tmp_path.glob("trackio/*.db")))) as base:
        rows = base.execute("select step, metrics from metrics order by id").fetchall()
    found = [(step, json.loads(values)) for step, values in rows]
    assert [row for row in found if "epoch" in row[1]] == expected(copy)
    results = [row for row in found if "epoch" not in row[1]]
    assert [step for step, _ in results] == [6, 6]
    for _, values in results:
        assert (values["result/status"], values["result/top1"]) == ("finished", summary_of(copy)["top1"])


@pytest.mark.parametrize("tracker", ["nothing", "absent"])
def test_a_tracker_that_cannot_be_used_is_reported_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: str
) -> None:
    monkeypatch.setattr(Tracker, "absent", ["package_x"])
    name = "nothing" if tracker == "nothing" else "tensorboard"
    done = command("run", TINY, "--out", tmp_path / "run", "--device", "cpu", "--log", name)
    assert done.status == 2
    assert "error[E130]" in done.stderr
    wanted = "unknown tracker `nothing`" if tracker == "nothing" else "pip install 'recipe-compiler[tensorboard]'"
    assert wanted in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_training_is_logged_by_another_process_and_ends_with_the_same_bits(run: Path, tmp_path: Path) -> None:
    arguments = ["run", TINY, "--out", str(tmp_path / "run"), "--device", "cpu", "--log", "csv"]
    done = subprocess.run([sys.executable, "-m", "recipe", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert metrics_in_csv(tmp_path / "run") == expected(tmp_path / "run")
    weights = [(folder / "model.safetensors").read_bytes() for folder in (run, tmp_path / "run")]
    assert weights[0] == weights[1]


def test_what_is_not_a_run_is_refused(tmp_path: Path) -> None:
    done = command("log", tmp_path, "--to", "csv")
    assert done.status == 2
    assert "error[E" in done.stderr
