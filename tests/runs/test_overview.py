"""`recipe runs`: the runs of a folder, what differs between them, and their results."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recipe.runs.overview import overview
from tests.helpers import ROOT, command, vocabulary
from tests.training.helpers import TINY, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    train(folder / "a", text=TINY.replace("epochs 2", "epochs 1"))
    train(folder / "deep" / "b", "lr 0.001", "ema 0.9")
    shutil.copytree(folder / "a", folder / "stopped")
    (folder / "stopped" / "summary.json").unlink()
    (folder / "begun").mkdir()
    shutil.copy(folder / "a" / "recipe.lock", folder / "begun")
    (folder / "notes").mkdir()
    return folder


def test_a_row_has_what_differs_and_the_results(folder: Path) -> None:
    table = overview(folder, vocabulary())
    assert [row.name for row in table.rows] == ["a", "begun", "deep/b", "stopped"]
    a, begun, b, stopped = table.rows
    assert (a.status, begun.status, b.status, stopped.status) == ("finished", "not started", "finished", "stopped")
    assert a.differs == {"epochs": "1", "lr": "0.01", "ema": None}
    assert b.differs == {"epochs": "2", "lr": "0.001", "ema": "0.9"}
    summary = json.loads((folder / "deep" / "b" / "summary.json").read_text())
    assert (b.top1, b.loss, b.epochs, b.of_epochs) == (summary["top1"], summary["loss"], 2, 2)
    lines = map(json.loads, (folder / "deep" / "b" / "metrics.jsonl").read_text().splitlines())
    results = [(line["top1"], line["epoch"]) for line in lines if line["kind"] == "evaluation"]
    assert b.best == max(top1 for top1, _ in results)
    assert (b.best, b.best_epoch) in results
    assert (begun.epochs, begun.top1, begun.best) == (None, None, None)


def test_the_table_and_its_json(folder: Path) -> None:
    done = command("runs", folder)
    assert done.status == 0
    heads, *lines = done.stdout.splitlines()
    assert heads.split() == "run status epochs done top-1 best (epoch) loss time epochs lr ema".split()
    assert len(lines) == 4
    done = command("runs", folder, "--json")
    assert json.loads(done.stdout) == overview(folder, vocabulary()).to_dict()


@pytest.mark.parametrize(
    ("key", "first"), [("name", "a"), ("loss", None), ("top1", None), ("epochs", "a"), ("status", "a")]
)
def test_it_sorts(folder: Path, key: str, first: str | None) -> None:
    rows = overview(folder, vocabulary()).sorted_by(key).rows
    values = [getattr(row, key) for row in rows if getattr(row, key) is not None]
    assert values == sorted(values, reverse=key == "top1")
    assert first is None or rows[0].name == first
    assert key not in ("loss", "top1") or rows[-1].name == "begun"


HOLDING = """
import sys
from pathlib import Path
from recipe.runs.exclusive import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


def test_a_run_that_another_process_trains_says_so(folder: Path) -> None:
    other = [sys.executable, "-c", HOLDING, str(folder / "stopped")]
    with subprocess.Popen(other, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        rows = {row.name: row.status for row in overview(folder, vocabulary()).rows}
        process.communicate("\n")
    assert (rows["stopped"], rows["a"]) == ("training", "finished")


def test_a_damaged_run_is_shown_with_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "a", tmp_path / "edited")
    (tmp_path / "edited" / "recipe.lock").write_text((folder / "a" / "recipe.lock").read_text() + "ema 0.5\n")
    shutil.copytree(folder / "a", tmp_path / "damaged")
    (tmp_path / "damaged" / "summary.json").write_text("[]")
    done = command("runs", tmp_path)
    assert done.status == 0
    assert "edited: `" in done.stdout
    assert "has been edited since the run started" in done.stdout
    assert "damaged: summary.json can't be used" in done.stdout


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_folder_without_runs(tmp_path: Path, name: str) -> None:
    done = command("runs", tmp_path / name)
    assert done.status == 2
    assert "error[E120]" in done.stderr


@pytest.mark.parametrize("file", ["model.safetensors", "classes.json", "metrics.jsonl"])
def test_damage_is_reported(file: str, tmp_path: Path) -> None:
    run = train(tmp_path / "run").folder
    data = (run / file).read_bytes()
    (run / file).write_bytes(b"{}\n" + data if file == "metrics.jsonl" else data[:-9])
    (row,) = overview(tmp_path, vocabulary()).rows
    assert row.status == "finished"
    assert file in row.problem
