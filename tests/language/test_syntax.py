"""The grammar: statements, words and their places."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given

from recipe.base.printable import printable
from recipe.base.source import Source
from recipe.language.ast import Item, Word
from recipe.language.parser import MAX_ERRORS
from recipe.language.parser import parse as parse_source
from tests.helpers import EXAMPLES, parse
from tests.strategies import Written, written


def _words(text: str) -> list[list[str]]:
    return [[node.verb.text, *map(_item, node.items)] for node in parse(text).statements]


def _item(item: Item) -> str:
    return f"{item.name.text}={item.value.text}" if item.name else item.value.text


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        ("\n;;\n ; \n", []),
        ("# only a comment", []),
        ("base resnet50", [["base", "resnet50"]]),
        ("base resnet50; batch 1024", [["base", "resnet50"], ["batch", "1024"]]),
        ("base resnet50\nbatch 1024\n", [["base", "resnet50"], ["batch", "1024"]]),
        ("\tlr   0.1\twarmup 5 ", [["lr", "0.1", "warmup", "5"]]),
        ("lr rate = 0.1 every= batch", [["lr", "rate=0.1", "every=batch"]]),
        ("loss", [["loss"]]),
        ("batch 256 # a; b", [["batch", "256"]]),
        ("batch 256#close", [["batch", "256"]]),
        ('data folder "a;b # c"; lr 1', [["data", "folder", '"a;b # c"'], ["lr", "1"]]),
        ("base timm:resnet50d.a1_in1k", [["base", "timm:resnet50d.a1_in1k"]]),
        ("decay no-bias", [["decay", "no-bias"]]),
    ],
)
def test_statements_end_at_semicolons_and_line_ends(text: str, statements: list[list[str]]) -> None:
    assert _words(text) == statements


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("200", "number", 200.0),
        ("+1.5", "number", 1.5),
        ("-.5", "number", -0.5),
        ("1.", "number", 1.0),
        ("1e-4", "number", 1e-4),
        ("1E+4", "number", 1e4),
        ("10%", "percent", 0.1),
        ("7.5%", "percent", 0.075),
        ('"runs/a b"', "string", "runs/a b"),
        (r'"a \"b\" \\ c"', "string", r'a "b" \ c'),
        ('""', "string", ""),
        ("no-bias", "name", "no-bias"),
        ("nan", "name", "nan"),
        ("resnext50_32x4d", "name", "resnext50_32x4d"),
        ("timm:resnet50d", "name", "timm:resnet50d"),
    ],
)
def test_a_word_is_a_number_a_percentage_a_string_or_a_name(text: str, kind: str, value: object) -> None:
    (statement,) = parse(f"verb {text}").statements
    word = statement.items[0].value
    assert (word.kind, word.text, word.value) == (kind, text, value)


def test_every_word_knows_its_place() -> None:
    found = parse("base resnet50\n  lr rate=0.1; tweak C  # said\n")
    lr, tweak = found.statements[1:]
    assert (lr.span.place, lr.span.text) == ("<test>:2:3", "lr rate=0.1")
    assert (lr.items[0].span.place, lr.items[0].span.text) == ("<test>:2:6", "rate=0.1")
    assert (tweak.items[0].span.line, tweak.items[0].span.column) == (2, 22)
    assert [(comment.text, comment.span.line) for comment in found.comments] == [("# said", 2)]


def test_a_place_counts_characters_not_bytes() -> None:
    (statement,) = parse('# ä€𝕏\ndata folder "ä€𝕏" size=8').statements
    assert statement.items[2].span.place == "<test>:2:19"


@pytest.mark.parametrize(
    ("text", "code", "said", "about", "help"),
    [
        ("batch total=", "E010", "unexpected end of the recipe", "", ""),
        ("batch total=\nlr 0.1", "E010", "expected a value after `=`", "", ""),
        ("batch total=; lr 0.1", "E010", "expected a value after `=`", "", ""),
        ("batch=256", "E010", "unexpected `=`", "=", "`batch 256`"),
        ("lr rate==1", "E010", "unexpected `=`", "=", ""),
        ("256", "E010", "expected a verb, found `256`", "256", ""),
        ('"base" resnet50', "E010", "expected a verb", '"base"', ""),
        ("lr 1e", "E011", "`1e` is not a number", "1e", "`0.1`, `1e-4` or `10%`"),
        ("lr 0x10", "E011", "`0x10` is not a number", "0x10", ""),
        ("lr 1_000", "E011", "`1_000` is not a number", "1_000", ""),
        ("lr 0.1, warmup 5", "E011", "`0.1,` is not a valid word", "0.1,", "without commas"),
        ("augment flip, mixup", "E011", "`flip,` is not a valid word", "flip,", "without commas"),
        ("data fake size=32x64", "E011", "`32x64` is not a number", "32x64", "images are square"),
        ("data fake size=32×64", "E011", "`32×64` is not a number", "32×64", "images are square"),
        ("lr 1,5", "E011", "`1,5` is not a number", "1,5", ""),
        ("batch ٢٥٦", "E011", "`٢٥٦` is not a number", "٢٥٦", ""),
        ("data folder /data/imagenet", "E011", "needs quotes", "/data/imagenet", '`"/data/imagenet"`'),
        ("data folder C:\\data", "E011", "needs quotes", "C:\\data", ""),
        ("lr $rate", "E011", "`$rate` is not a valid word", "$rate", "quotes"),
        ("lr\u00a00.1", "E011", "`\\xa0` is not a valid word", "\u00a0", ""),
        ('data folder "a"b', "E011", "expected a space after the string", '"a"b', ""),
        ('data folder "a', "E012", "unterminated string", '"a', 'close it with `"`'),
        ('data folder "a\nlr 0.1', "E012", "unterminated string", '"a', ""),
        (r'data folder "C:\data"', "E012", r"`\d` is not a valid escape", r"\d", r"`\\`"),
    ],
)
def test_syntax_errors_use_the_terms_of_the_language(text: str, code: str, said: str, about: str, help: str) -> None:
    _, (error,) = parse_source(Source("<test>", text, Path.cwd()))
    assert error.code == code
    assert said in printable(error.message)
    assert error.span is not None
    assert error.span.text == about
    assert help in error.help


def test_all_syntax_errors_are_reported_and_valid_statements_are_kept() -> None:
    text = 'base resnet50\nlr 5x # of; no\ndata folder "a;b" %%; tweak C\n"x"; batch 256'
    found, wrong = parse_source(Source("<test>", text, Path.cwd()))
    assert [(error.code, error.span.place) for error in wrong if error.span] == [
        ("E011", "<test>:2:4"),
        ("E011", "<test>:3:19"),
        ("E010", "<test>:4:1"),
    ]
    assert [node.verb.text for node in found.statements] == ["base", "tweak", "batch"]


def test_only_the_first_of_many_syntax_errors_are_reported() -> None:
    _, wrong = parse_source(Source("<test>", "lr 5x\n" * 50, Path.cwd()))
    assert [error.code for error in wrong] == ["E011"] * MAX_ERRORS


@given(written())
def test_parsing_recovers_the_written_statements(recipe: Written) -> None:
    found = parse(recipe.text)
    assert tuple((node.verb.text, *map(_item, node.items)) for node in found.statements) == recipe.statements
    assert tuple(comment.text for comment in found.comments) == recipe.comments


@given(written())
def test_every_span_covers_its_word(recipe: Written) -> None:
    found = parse(recipe.text)
    words: list[Word] = [*found.comments]
    for node in found.statements:
        words += [node.verb, *(item.value for item in node.items), *(item.name for item in node.items if item.name)]
    assert all(word.span.text == word.text for word in words)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_well_formed(path: Path) -> None:
    assert parse(path.read_text("utf-8")).statements


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.7%", 0.007), ("10%", 0.1), ("-5.%", -0.05), (".5e1%", 0.05), ("1E-2%", 1e-4), ("1e99999%", math.inf)],
)
def test_a_percentage_is_the_nearest_number(text: str, value: float) -> None:
    assert parse(f"lr {text}").statements[0].items[0].value.value == value
