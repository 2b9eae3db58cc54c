"""Where output is shown: only a terminal outside of a notebook redraws lines, and a cell's output is replaced."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from unittest import mock

import pytest

from recipe.base.terminal import CellOutput, is_kernel, redraws

KERNEL = {"TERM": "xterm-color", "GIT_PAGER": "cat", "PAGER": "cat"}


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JPY_PARENT_PID", "GIT_PAGER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize(
    ("is_terminal", "environment", "expected"),
    [
        (True, {}, True),
        (True, {"TERM": "xterm-color"}, True),
        (False, {}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"JPY_PARENT_PID": "7"}, False),
        (True, KERNEL, False),
    ],
)
def test_only_a_terminal_outside_of_a_notebook_redraws_lines(
    is_terminal: bool, environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert redraws(mock.Mock(isatty=lambda: is_terminal)) == expected
    assert not redraws(None)


def test_without_ipython_nothing_is_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not is_kernel()
    assert "IPython" not in sys.modules
    for shell, expected in ((None, False), (SimpleNamespace(), False), (SimpleNamespace(kernel=1), True)):
        monkeypatch.setitem(sys.modules, "IPython", mock.Mock(get_ipython=lambda shell=shell: shell))
        assert is_kernel() == expected


def test_the_output_of_a_cell_is_shown_once_and_then_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    handle, module = mock.Mock(), ModuleType("IPython.display")
    module.display = mock.Mock(return_value=handle)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    output = CellOutput()
    output.show(["one `x`"])
    output.show(["one `x`", "<two>\x1b[2K"])
    module.display.assert_called_once_with(output, display_id=True)  # type: ignore[attr-defined]
    handle.update.assert_called_once_with(output)
    assert output._repr_html_() == "<div>one <code>x</code></div><div>&lt;two&gt;\\x1b[2K</div>"
    assert repr(output) == "one `x`\n<two>\\x1b[2K"
