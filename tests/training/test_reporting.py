"""What a run reports: text from outside on one line, and curves whose failure is a warning."""

from __future__ import annotations

import io
import os
import re
import signal
from pathlib import Path

import pytest
from rich.console import Console

import recipe
from recipe.ablation.cells import progress
from recipe.base.signals import Interrupted
from recipe.training import reporting
from recipe.training.reporting import EpochLine, Listener, Live, Plain, pictures
from tests.base.test_printable import HOSTILE
from tests.training.helpers import TINY, train


def said_by(listener: type[Listener], text: str) -> str:
    out = io.StringIO()
    if listener is Plain:
        Plain(out).note(text)
    else:
        live = Live()
        live.console = Console(file=out, width=1000)
        live.note(text)
    return out.getvalue()


@pytest.mark.parametrize("listener", [Plain, Live])
def test_a_note_is_one_printable_line(listener: type[Listener]) -> None:
    said = said_by(listener, HOSTILE + ":smile: [red]x[/red]")
    assert said.count("\n") == 1
    assert said.removesuffix("\n").isprintable()
    assert ":smile: [red]x[/red]" in said


@pytest.mark.parametrize("listener", [Plain, Live])
def test_a_note_has_paths_that_are_relative_to_the_working_directory(
    listener: type[Listener], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = said_by(listener, f"ignored in `{tmp_path}/a b`: see {tmp_path}/c, `{tmp_path}2/d` and `{tmp_path}`")
    assert said.rstrip() == f"ignored in `a b`: see c, `{tmp_path}2/d` and `{tmp_path}`"


def test_a_note_of_an_ablation_is_one_printable_line(capsys: pytest.CaptureFixture[str]) -> None:
    progress.Plain().note(HOSTILE)
    said = capsys.readouterr().err
    assert said.removesuffix("\n").isprintable()


def test_curves_that_cannot_be_drawn_take_no_result_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unhurried: None
) -> None:
    def fail(folder: Path) -> None:
        raise RuntimeError("no fonts")

    class Notes(Listener):
        def note(self, text: str) -> None:
            told.append(text)

    told = list[str]()
    monkeypatch.setattr(reporting, "_curves", fail)
    run = train(tmp_path / "run", listener=Notes())
    assert "warning: curves.png can't be drawn: RuntimeError: no fonts" in told
    assert (run.folder / "summary.json").is_file()
    (run.folder / "curves.png").write_bytes(b"of an earlier training")
    assert pictures(run.folder)
    assert not (run.folder / "curves.png").exists()


EPOCH = (
    r"^epoch (\d)/2: training loss (\d\.\d{4}), top-1 (\d+\.\d\d)%; held-out loss \d\.\d{4}, top-1 \d+\.\d\d%"
    r"( \(balanced \d+\.\d\d%\))?; lr 0\.01, (\d+) images/s in training(, \d:\d\d left with evaluation)?$"
)


def live() -> tuple[Live, io.StringIO]:
    shown, out = Live(), io.StringIO()
    shown.console = Console(file=out, width=200)
    return shown, out


@pytest.mark.parametrize("kind", [Plain, Live])
def test_each_epoch_leaves_a_line(kind: type[Listener], tmp_path: Path) -> None:
    listener, out = live() if kind is Live else (Plain(said := io.StringIO()), said)
    run = train(tmp_path / "run", listener=listener)
    lines = [found for line in out.getvalue().splitlines() if (found := re.match(EPOCH, line.rstrip()))]
    assert [line[1] for line in lines] == ["1", "2"]
    steps = [line for line in run.metrics if line["kind"] == "train"]
    for epoch, line in enumerate(lines):
        own = steps[3 * epoch : 3 * epoch + 3]
        assert float(line[2]) == pytest.approx(sum(step["loss"] for step in own) / 3, abs=1e-4)
        assert float(line[3]) == pytest.approx(100 * sum(step["top1"] for step in own) / 3, abs=1e-2)
        assert float(line[5]) == pytest.approx(3 / sum(1 / step["images_per_second"] for step in own), abs=0.51)
        assert bool(line[6]) == (epoch == 0), "nothing is left after the last epoch"


class Kill(Plain):
    """Plain output, and a signal after a step."""

    def __init__(self, at: int, out: io.StringIO) -> None:
        super().__init__(out)
        self.at = at

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        super().step(step, loss, top1, rate, speed)
        if step == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("kind", [Plain, Live])
def test_a_run_stopped_in_the_last_step_of_an_epoch_reports_its_numbers(kind: type[Listener], tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(tmp_path / "run", listener=Kill(3, io.StringIO()))
    listener, out = live() if kind is Live else (Plain(said := io.StringIO()), said)
    run = train(tmp_path / "run", listener=listener, resume=True)
    (line,) = (line for line in out.getvalue().splitlines() if line.startswith("epoch 1/2: "))
    before = run.metrics[2]
    assert f"training loss {before['loss']:.4f}, top-1 {before['top1']:.2%}; held-out" in line
    assert line.rstrip().endswith(f"; lr 0.01, {before['images_per_second']:.0f} images/s in training"), (
        "nothing was timed yet"
    )


def test_the_time_left_counts_from_the_step_of_the_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    line = EpochLine(total=100, per_epoch=10, first=50, began=0.0)
    monkeypatch.setattr(reporting.time, "monotonic", lambda: 30.0)
    line.step(60, 1.0, 0.5, 0.1, 80.0)
    assert line.text(6, {"loss": 2.0, "top1": 0.25}) == (
        "epoch 6/10: training loss 1.0000, top-1 50.00%; held-out loss 2.0000, top-1 25.00%; "
        "lr 0.1, 80 images/s in training, 2:00 left with evaluation"
    )
    line.step(61, 1.0, 0.0, 0.1, 80.0)
    line.step(70, 2.0, 1.0, 0.1, 40.0)
    said = line.text(7, {"loss": 2.0, "top1": 0.25})
    assert "training loss 1.9000, top-1 90.00%" in said
    assert ", 42 images/s in training" in said, "10 steps took as long as 1 / 80 + 9 / 40 images"


def test_the_live_display_of_a_resumed_run_starts_in_its_epoch(tmp_path: Path) -> None:
    shown, _ = live()
    program = recipe.compile(TINY, device="meta")
    for step, epoch in ((0, 1), (2, 1), (3, 2), (6, 2)):
        shown.start(program, tmp_path, step, 6, 3)
        assert shown.bar is not None
        assert shown.bar.tasks[0].fields["epoch"] == epoch
        shown.stop()
