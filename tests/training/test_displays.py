"""What shows the progress of a run by default: lines in a log, a live display, or the output of a notebook's cell."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import pytest

import recipe
from recipe.base.terminal import CellOutput
from recipe.training import displays
from recipe.training.displays import Cell, default_listener
from recipe.training.reporting import Listener, Live, Plain
from tests.training.helpers import TINY, train


class Kept(CellOutput):
    """Keeps every state of the output."""

    def __init__(self) -> None:
        super().__init__()
        self.states = list[list[str]]()

    def show(self, lines: Iterable[str]) -> None:
        self.states.append([*lines])


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a terminal outside of a notebook."""
    for name in ("JPY_PARENT_PID", "GIT_PAGER", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_on_a_terminal_a_program_has_a_live_display_that_reads_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", mock.Mock(isatty=lambda: True))
    monkeypatch.setattr(sys, "stdin", None)
    shown = default_listener(keys=False)
    assert isinstance(shown, Live)
    assert not shown.reads_keys
    assert isinstance(default_listener(keys=True), Live)
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert isinstance(default_listener(keys=True), Plain), "several processes write to this terminal"


def test_a_command_in_a_cell_prints_lines_although_it_has_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", mock.Mock(isatty=lambda: True))
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    assert isinstance(default_listener(keys=True), Plain)


def test_a_kernel_shows_the_output_of_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(displays, "is_kernel", lambda: True)
    assert isinstance(default_listener(keys=False), Cell)


def test_one_line_of_a_cell_is_updated_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(displays, "SECONDS", 0.0)
    output = Kept()
    train(tmp_path / "run", listener=Cell(output))
    first = next(at for at, lines in enumerate(output.states) if lines[-1].startswith("epoch 1/2, step 1/3: "))
    heading, *rest = output.states[first - 1 :]
    assert heading[-1] == f"training 6 steps, 3 per epoch; folder {tmp_path / 'run'}"
    lines = [state[len(heading) :] for state in rest]
    assert {len(line) for line in lines} == {1}, "a line that replaces itself"
    shown = [line for (line,) in lines]
    assert [re.split(": ", line)[0] for line in dict.fromkeys(shown)] == [
        *("epoch 1/2, step 1/3", "epoch 1/2, step 2/3", "epoch 1/2, step 3/3", "epoch 1/2"),
        *("epoch 2/2, step 1/3", "epoch 2/2, step 2/3", "epoch 2/2, step 3/3", "epoch 2/2"),
    ]
    assert re.search(
        r"training loss [\d.]+, top-1 [\d.]+%; lr 0\.01, \d+ images/s in training, \d:\d\d left$", shown[0]
    )
    assert re.search(r"left; held-out top-1 [\d.]+% after epoch 1$", shown[4])
    assert "held-out loss" in shown[-1]


def test_updates_of_a_cell_are_rare_and_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(displays, "SECONDS", 1e6)
    output = Kept()
    cell = Cell(output)
    cell.note("before")
    cell.start(recipe.compile(TINY, device="meta"), tmp_path, 0, 6, 3)
    count = len(output.states)
    cell.step(1, 1.0, 0.5, 0.1, 80.0)
    cell.note("skipped: an image")
    assert len(output.states) == count
    cell.stop()
    cell.note("the result")
    assert output.states[0] == ["before"]
    assert output.states[-1][-3:-1] == ["skipped: an image", output.states[-1][-2]]
    assert output.states[-1][-2].startswith("epoch 1/2, step 1/3: training loss 1.0000")
    assert output.states[-1][-1] == "the result"


def test_a_training_in_python_ends_with_its_result_and_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shown"
    run = recipe.run(TINY, "epochs 1", out=folder, device="cpu")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "24 training images, 3 held out\n" in shown.err
    assert re.search("^epoch 1/1: training loss ", shown.err, re.M)
    last = shown.err.splitlines()[-1]
    assert last.startswith(f"top-1 {run.summary['top1']:.2%}")
    assert last.endswith(f"; folder {folder}")
    recipe.run(TINY, "epochs 1", out=folder, device="cpu", resume=True)
    again = capsys.readouterr().err.splitlines()
    assert again[-2:] == [f"{folder} has already finished: nothing to do", last]
    recipe.run(TINY, "epochs 1", out=tmp_path / "silent", device="cpu", listener=Listener())
    assert capsys.readouterr() == ("", "")
