"""Text from outside in exported source: it can't end a string, hide, or run."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest

import recipe
from recipe.exporters.codegen import Codegen, literal, path
from recipe.exporters.python import _source
from recipe.runs.provenance import Preprocessing

HOSTILE = '"); import os  # \x1b[31m\u202e\u2028\x0c\\ """ é\n'


@pytest.mark.parametrize("text", [HOSTILE, "plain", '"""', "\\", "𝕏\ud800"])
def test_a_string_is_one_literal(text: str) -> None:
    assert ast.literal_eval(literal(text)) == text
    assert literal(text).isprintable()


@pytest.mark.parametrize("part", [HOSTILE.replace(".", ""), "block1-0", "class", "٣"])
def test_the_path_of_a_module_is_one_expression(part: str) -> None:
    (statement,) = ast.parse(path(f"layer1.{part}")).body
    assert isinstance(statement, ast.Expr)
    assert "import" not in path(part) or path(part).startswith("model.get_submodule(")


def test_the_recipe_in_the_docstring_is_text(tmp_path: Path) -> None:
    name = HOSTILE.rstrip("\n").replace('"', "'") + "'''"
    (tmp_path / f"{name}.recipe").write_text("base resnet18")
    file = tmp_path / "a.recipe"
    escaped = name.replace("\\", "\\\\")
    file.write_text(f'base resnet18\ntweak C\ndata fake size=32 classes=10 images=8\nloss distill "{escaped}.recipe"')
    program = recipe.compile(file, device="meta")
    preprocessing = Preprocessing(32, None, (0.5,) * 3, (0.5,) * 3)
    run = SimpleNamespace(
        base="resnet18", size=32, digest="0" * 16, preprocessing=preprocessing, names=(), program=program
    )
    source = _source(run, Codegen(program))  # type: ignore[arg-type]
    assert [letter for letter in source if not letter.isprintable() and letter != "\n"] == []
    about = ast.get_docstring(ast.parse(source))
    assert about is not None
    lines = [line for line in about.split("\n") if "loss distill" in line]
    assert len(lines) == 1
    assert r"\x1b[31m\u202e\u2028\x0c\\" in lines[0]


def test_a_comment_says_what_is_done_to_the_network() -> None:
    """The summary of `input` is about images, most of whose settings change no layer."""
    text = "base resnet18; tweak C; input channels=1; data fake size=32 classes=10 images=8"
    lines = Codegen(recipe.compile(text, device="meta")).lines
    assert "    # input: Replace the single convolution on the image by one with this many input channels." in lines
    assert any(line.startswith("    # tweak C: Replace the 7×7 convolution") for line in lines), lines
