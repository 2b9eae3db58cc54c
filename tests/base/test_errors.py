"""Errors as notebooks show them."""

from __future__ import annotations

import pytest

from recipe.base.errors import RecipeError, fail


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
