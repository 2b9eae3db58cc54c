"""The canonical layout: words, order and comments are kept; spaces and line endings are fixed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from recipe.language.formatter import layout, plain
from tests.helpers import EXAMPLES, errors, parse
from tests.strategies import Written, written


def fmt(text: str) -> str:
    return layout(parse(plain(text)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("\n\n\n", ""),
        ("base resnet50", "base resnet50\n"),
        ("base resnet50; tweak C D\n", "base resnet50\ntweak C D\n"),
        ("  base\t resnet50  ;\n", "base resnet50\n"),
        ("lr rate = 0.1", "lr rate=0.1\n"),
        ("lr 0.10 warmup 5.0", "lr 0.10 warmup 5.0\n"),
        ("base resnet50\n\n\n\nbatch 8\n\n", "base resnet50\n\nbatch 8\n"),
        ("# top\nbase resnet50 # why\n#end", "# top\nbase resnet50  # why\n#end\n"),
        ("base resnet50; batch 8 # of both", "base resnet50\nbatch 8  # of both\n"),
        ("base resnet50 #   blanks inside   stay \t", "base resnet50  #   blanks inside   stay\n"),
        ("\ufeffbase resnet50\n", "base resnet50\n"),
        ("base resnet50\r\nbatch 8\r\n", "base resnet50\nbatch 8\n"),
        ("# a\rbase resnet50\r", "# a\nbase resnet50\n"),
        ("\ufeff# a\r\n\r\n\r\n\r\nbase resnet50", "# a\n\nbase resnet50\n"),
    ],
)
def test_layout(before: str, after: str) -> None:
    assert fmt(before) == after
    assert fmt(after) == after


@given(written())
def test_layout_keeps_every_statement_and_comment(recipe: Written) -> None:
    before, after = parse(recipe.text), parse(fmt(recipe.text))
    assert after.statements == before.statements
    assert after.comments == before.comments


@given(written())
def test_layout_is_idempotent(recipe: Written) -> None:
    once = fmt(recipe.text)
    assert fmt(once) == once


@given(written())
def test_layout_writes_one_statement_per_line(recipe: Written) -> None:
    found = parse(fmt(recipe.text))
    lines = [node.span.line for node in found.statements]
    assert len(set(lines)) == len(lines)
    assert not any(line != line.rstrip() for line in fmt(recipe.text).split("\n"))


@pytest.mark.parametrize(("text", "code"), [("\ufeffbase resnet50", "E003"), ("base resnet50\r\nlr 1\r\n", "E004")])
def test_layout_fixes_characters_that_are_errors_in_a_recipe(text: str, code: str) -> None:
    assert errors(text) == [code]
    assert errors(fmt(text)) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_in_canonical_layout(path: Path) -> None:
    assert fmt(path.read_text("utf-8")) == path.read_text("utf-8")
