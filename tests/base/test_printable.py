"""Text from outside becomes printable wherever it is rendered, and stays exact in data."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import unicodedata
from pathlib import Path

import pytest

from recipe.base.diagnostics import Diagnostic
from recipe.base.printable import command_line, markdown, path_word, printable, python_string
from recipe.base.rendering import MOST, render, to_github, to_json
from recipe.base.source import Source, Span
from recipe.base.wording import columns

HOSTILE = "a\x1b[31m\n\r\x00\x7f\x9b\u202e\u2066\u200b\ufeff\u2028\ue000\ud800 \udcff|`<script>$x_1$\\'\"é 𝕏"


def assert_printable(text: str) -> None:
    """Assert that a text has no characters but printable ones and line feeds."""
    assert [letter for letter in text if not letter.isprintable() and letter != "\n"] == []


def test_nothing_that_a_terminal_obeys_or_hides_is_printable() -> None:
    everything = "".join(map(chr, range(0x110000)))
    shown = printable(everything)
    assert {unicodedata.category(letter) for letter in shown}.isdisjoint({"Cc", "Cf", "Zl", "Zp", "Cs", "Co"})
    shown.encode()  # no lone surrogates


def test_what_can_be_shown_stays_as_it_is() -> None:
    for text in ("plain", "Käse ± 3×3 → 𝕏 数字", "tab\\tquoted"):
        assert printable(text) == text
    assert printable("a\x1b[31mb\nc\u202ed\ud800") == r"a\x1b[31mb\nc\u202ed\ud800"


def test_markdown_shows_text_literally() -> None:
    assert markdown("a|b\n`c` <b> *d* _e_ [f](g) wide_resnet $h$ \\") == (
        r"a\|b\\n\`c\` \<b> \*d\* \_e\_ \[f\](g) wide_resnet \$h\$ \\"
    )


@pytest.mark.parametrize("text", ["plain", HOSTILE, "", '"""', "\\", "\\n"])
def test_a_string_in_python_is_the_same_text(text: str) -> None:
    source = python_string(text)
    assert_printable(source.encode("utf-8", "backslashreplace").decode())
    assert ast.literal_eval(source) == text
    assert "\n" not in source


@pytest.mark.parametrize(
    "words",
    [
        ["recipe", "run", "--resume=my runs/x"],
        ["a b", "$HOME", "it's", 'say "x"', "*", "", "back\\slash", "~", "!", "a;b"],
        ["new\nline", "tab\t", "esc\x1b[0m", "it's\n", "\\n\n", "\u202eé\n", "\udcff"],
    ],
)
def test_a_shell_splits_a_printed_command_into_its_words(words: list[str]) -> None:
    line = command_line(*words)
    assert line.isprintable()
    found = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    assert found.split(b"\0")[:-1] == [os.fsencode(word) for word in words]


def test_a_path_is_no_option() -> None:
    assert [path_word(path) for path in ("-x", Path("--out"), "a/-x", "/x")] == ["./-x", "./--out", "a/-x", "/x"]


def diagnostic(text: str, code: str = "E021") -> Diagnostic:
    source = Source(text, f"base {text}", Path.cwd())
    return Diagnostic(
        code, f"bad `{text}`", Span(source, 5, 6), ((Span(source, 0, 4), f"`{text}` here"),), f"not `{text}`"
    )


def test_diagnostics_are_printable_as_text_and_exact_as_data() -> None:
    problem = diagnostic(HOSTILE.replace("\n", ""))
    assert_printable(render([problem]))
    (line,) = to_github([problem]).split("\n")
    assert_printable(line)
    data = to_json([problem])
    assert data.isascii()
    assert json.loads(data)["diagnostics"][0]["message"] == problem.message
    forged = diagnostic("x\n::error::forged\nerror[E999]: forged")
    assert len(render([forged]).split("\n")) == 10
    assert "\n" not in to_github([forged])


def test_at_most_a_hundred_diagnostics_are_shown() -> None:
    many = [diagnostic("x")] * 1000 + [diagnostic("x", "W001")]
    assert render(many).endswith("\n\nand 900 more errors and 1 more warning")
    assert render(many).count("error[E021]") == MOST
    assert to_github(many).endswith("\n::notice ::and 900 more errors and 1 more warning")
    assert "more" not in render(many[:MOST]).rpartition("\n\n")[2]
    assert render(many[: MOST + 1]).endswith("and 1 more error")
    assert len(json.loads(to_json(many))["diagnostics"]) == 1001


def test_cells_of_a_table_are_on_one_line() -> None:
    table = columns([(HOSTILE, "x"), ("y", "z")])
    assert len(table.split("\n")) == 2
    assert_printable(table)
