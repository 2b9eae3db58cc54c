"""Errors as notebooks show them."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipe.base.errors import RecipeError, fail
from recipe.base.notebook import framed
from recipe.base.signals import Interrupted
from recipe.cli import _failed


def test_a_notebook_shows_the_errors_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECIPE_DEBUG", raising=False)
    with pytest.raises(RecipeError, match="no such folder") as raised:
        raise fail("E070", "there is no such folder", help="name another")
    shown = raised.value._render_traceback_()
    assert shown == ["error[E070]: there is no such folder", "  = help: name another"]
    monkeypatch.setenv("RECIPE_DEBUG", "1")
    lines = raised.value._render_traceback_()
    assert lines[0].startswith("Traceback")
    assert any("test_errors.py" in line for line in lines)


def test_a_notebook_shows_an_interruption_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECIPE_DEBUG", raising=False)
    shown = Interrupted(2, Path("runs/x"), 3)._render_traceback_()
    assert shown == ['stopped at step 3 by SIGINT; resume with: recipe.run("runs/x", resume=True)']


def test_a_page_in_a_notebook_keeps_its_styles_to_itself() -> None:
    shown = framed('<style>body { color: "red" }</style>')
    assert shown.startswith('<iframe srcdoc="&lt;style&gt;body { color: &quot;red&quot; }&lt;/style&gt;"')


def test_output_that_is_no_longer_read_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    ended = SystemExit(1)  # as rich does
    ended.__context__ = BrokenPipeError()
    with pytest.raises(SystemExit) as stopped:
        _failed(ended)
    assert stopped.value.code == 141
    assert capsys.readouterr().err == ""
