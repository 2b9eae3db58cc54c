"""What a run reports: text from outside on one line, and curves whose failure is a warning."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from recipe.ablation import progress
from recipe.training import reporting
from recipe.training.reporting import Listener, Live, Plain, pictures
from tests.base.test_printable import HOSTILE
from tests.training.helpers import train


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
