"""The command `finish`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recipe.runs import requests
from tests.helpers import ROOT, command
from tests.training.helpers import TINY, train

LONG = TINY.replace("epochs 2", "epochs 100000")


def test_it_ends_a_training_in_another_process(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [sys.executable, "-P", "-m", "recipe", "run", LONG, "--device", "cpu", "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as training:
        try:
            while not (out / "metrics.jsonl").exists():
                assert training.poll() is None
                time.sleep(0.05)
            done = command("finish", out, "--wait")
            said, notes = training.communicate(timeout=60)
        finally:
            training.kill()
    asked, results = done.stdout.splitlines()
    assert (done.status, training.returncode) == (0, 0), notes
    assert asked.startswith(f"asked process {training.pid} on ")
    assert results == said.splitlines()[0]
    assert "epochs (ended early)" in results
    assert "`recipe finish` asked for it" in notes
    assert json.loads((out / "summary.json").read_text())["status"] == "ended early"
    again = command("finish", out)
    assert (again.status, again.stdout) == (2, "")
    assert "error[E134]" in again.stderr
    assert "has already ended early, after step " in again.stderr
    assert f"recipe run --resume={out}" in again.stderr


def test_it_refuses_a_folder_in_which_nothing_trains(tmp_path: Path) -> None:
    def refused(folder: Path) -> str:
        done = command("finish", folder)
        assert (done.status, done.stdout) == (2, "")
        assert not (folder / requests.NAME).exists()
        assert "error[E134]" in done.stderr
        return done.stderr

    assert "does not exist" in refused(tmp_path / "none")
    assert "is not a run folder: it has no recipe.lock" in refused(tmp_path)
    run = train(tmp_path / "run")
    assert "has already finished" in (finished := refused(run.folder))
    assert f"recipe export {run.folder} --to FORMAT" in finished
    (run.folder / "summary.json").unlink()
    assert "nothing is training in" in (stopped := refused(run.folder))
    assert f"recipe run --resume={run.folder}; with --max-time 1s" in stopped


@pytest.mark.parametrize("words", [["--keep", "3"], ["--keep=3"], ["--keep"]])
def test_the_old_name_of_an_option_is_an_error_that_names_the_new_one(words: list[str]) -> None:
    done = command("run", "first", *words)
    assert (done.status, done.stdout) == (2, "")
    assert "Error: --keep is now called --checkpoints" in done.stderr
    assert "--keep" not in command("run", "--help").stdout
