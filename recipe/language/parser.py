"""Parse text into a `Recipe`, a list of statements. The parser does not interpret them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import lark

from recipe.base.diagnostics import Diagnostic
from recipe.base.source import Source, Span
from recipe.language.ast import Item, Recipe, Statement, Word

MAX_STATEMENTS = 1000
MAX_ERRORS = 10
LONGEST = {"number": 64, "percent": 64, "name": 256, "string": 4096}
"""The most characters that a word of each kind may have. Far less is enough for any number, name or path."""
SHOWN = 60
"""The most characters of a word that a message shows."""

_STRING = r'"(?:\\["\\]|[^"\\\n])*"'  # as in the grammar
_QUOTED = r'"(?:\\[^\n]|[^"\\\n])*"'  # a string with any escapes, valid or not


@cache
def _parser() -> lark.Lark:
    grammar = (resources.files("recipe.grammar") / "recipe.lark").read_text("utf-8")
    return lark.Lark(grammar, start="recipe", parser="lalr", lexer="basic", propagate_positions=False)


def _word(token: lark.Token, source: Source) -> Word:
    start = token.start_pos or 0
    return Word(token.type.lower(), str(token), Span(source, start, start + len(token)))


def _statement(tree: Any, source: Source) -> Statement:
    verb, *items = tree.children
    words = ([_word(token, source) for token in item.scan_values(lambda token: True)] for item in items)
    return Statement(_word(verb, source), tuple(Item(value, *name) for *name, value in words))


def _comments(source: Source) -> tuple[Word, ...]:
    """Find all comments as the grammar defines them: from a ``#`` outside a string to the end of its line."""
    matches = re.finditer(rf"{_STRING}|(#[^\n]*)", source.text)
    return tuple(Word("comment", m[1], Span(source, *m.span(1))) for m in matches if m[1] is not None)


def _statement_around(text: str, span: Span) -> tuple[int, int]:
    """Return the start and end of the statement around a span, ignoring separators in strings and comments."""
    separators = [m.start() for m in re.finditer(rf"{_QUOTED}|#[^\n]*|[;\n]", text) if m[0] in ";\n"]
    start = max((place + 1 for place in separators if place < span.start), default=0)
    end = min((place for place in separators if place >= max(span.end, start)), default=len(text))
    return start, end


def _shortened(word: str) -> str:
    return word if len(word) <= SHOWN else f"{word[:SHOWN]}…"


def _too_long(statement: Statement) -> Iterator[Diagnostic]:
    """Yield an error for each word of a statement that is longer than any word that makes sense."""
    for word in (statement.verb, *(word for item in statement.items for word in (item.name, item.value) if word)):
        if len(word.text) > LONGEST[word.kind]:
            what = word.kind.replace("percent", "percentage")
            message = f"`{_shortened(word.text)}` has {len(word.text):,} characters"
            help = f"a {what} can have at most {LONGEST[word.kind]:,}"
            yield Diagnostic("E011", message, word.span, help=help)


def _explain(error: lark.UnexpectedInput, source: Source) -> Diagnostic:
    """Turn a parser error into a diagnostic in terms of the recipe language."""
    text, token = source.text, getattr(error, "token", None)
    start = len(text) if error.pos_in_stream is None else min(error.pos_in_stream, len(text))
    rest = text[start:].split("\n", 1)[0]

    def diagnostic(code: str, message: str, length: int, help: str = "", at: int = start) -> Diagnostic:
        return Diagnostic(code, message, Span(source, at, at + length), help=help)

    if token is not None and token.type == "$END":
        return diagnostic("E010", "unexpected end of the recipe in the middle of a statement", 0, at=len(text))
    if token is not None and token.type == "_SEP":
        return diagnostic("E010", "expected a value after `=`", 0)
    quoted = re.match(_QUOTED, rest)
    if quoted and not re.match(_STRING, rest):
        at = start + next(m.start() for m in re.finditer(r"\\(.)", rest) if m[1] not in '"\\')
        help = 'in a string, write a backslash as `\\\\` and a quote as `\\"`'
        return diagnostic("E012", f"`{text[at : at + 2]}` is not a valid escape", 2, help, at)
    if rest.startswith('"') and not quoted:
        return diagnostic("E012", "unterminated string", len(rest), 'close it with `"` on the same line')
    if token is not None and token.type == "EQUAL":
        help = "start the statement with a verb and a space, as in `batch 256`; `field=value` comes after the verb"
        return diagnostic("E010", "unexpected `=`", 1, help)
    if token is not None:
        message = f"expected a verb, found `{_shortened(token)}`"
        return diagnostic("E010", message, max(1, len(token)), "run `recipe tricks` to list the verbs")
    word = (re.match(r'"(?:\\["\\]|[^"\\\n])*"[^\s;#]*|[^\s;#=]+|.', rest) or [rest])[0]
    length = max(1, len(word))
    if word.startswith('"'):
        return diagnostic("E011", "expected a space after the string", length)
    shown = _shortened(word)
    if re.match(r"[1-9]\d*[x×X*]\d+$", word):
        help = "a field takes one number at a time, and images are square: write `224`, not `224x224`"
        return diagnostic("E011", f"`{shown}` is not a number", length, help)
    if "," in word and not re.search(r"[/\\~]", word):
        help = "separate items by spaces and statements by `;`, without commas"
        if re.match(r"[+-]?\d*,\d", word):
            help += ", and write decimals with a point: `0.1`"
        what = "a number" if re.fullmatch(r"[+-]?\d[\d.,]*\d", word) else "a valid word"
        return diagnostic("E011", f"`{shown}` is not {what}", length, help)
    if re.match(r"[+-]?\.?\d", word):
        help = "write numbers as `0.1`, `1e-4` or `10%`, and put quotes around a word that starts with a digit"
        return diagnostic("E011", f"`{shown}` is not a number", length, help)
    if re.search(r"[/\\~]", word):
        return diagnostic("E011", f"the path `{shown}` needs quotes", length, f'write `"{shown}"`')
    return diagnostic("E011", f"`{shown}` is not a valid word", length, "put quotes around text other than plain words")


def _encoding(source: Source) -> Diagnostic | None:
    if source.text.startswith("\ufeff"):
        help = "run `recipe fmt` to remove it"
        return Diagnostic("E003", "the file starts with a byte order mark", Span(source, 0, 1), help=help)
    if (at := source.text.find("\r")) >= 0:
        help = "run `recipe fmt` to convert the file to LF line endings"
        return Diagnostic("E004", "unexpected carriage return", Span(source, at, at + 1), help=help)
    return None


def parse(source: Source) -> tuple[Recipe, list[Diagnostic]]:
    """Parse a source. Return the recipe with all well-formed statements, and the syntax errors in the others.

    >>> from pathlib import Path
    >>> recipe, errors = parse(Source("demo", "base resnet50; batch 1024", Path(".")))
    >>> [statement.verb.text for statement in recipe.statements]
    ['base', 'batch']
    """
    if wrong := _encoding(source):
        return Recipe(source, (), ()), [wrong]
    text, errors = source.text, list[Diagnostic]()
    rest, tree = text, None
    while tree is None:
        try:
            tree = _parser().parse(rest)
        except lark.UnexpectedInput as error:
            errors.append(diagnostic := _explain(error, source))
            assert diagnostic.span is not None
            # Blank out the statement and continue after it, so that one run shows every error.
            start, end = _statement_around(text, diagnostic.span)
            if len(errors) == MAX_ERRORS or text[start:end].isspace() or start == end:
                return Recipe(source, (), ()), errors
            text = text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]
            rest = " " * end + text[end:]
    if errors:
        tree = _parser().parse(text)
    statements = tuple(_statement(child, source) for child in tree.children if isinstance(child, lark.Tree))
    if too_long := [(statement, diagnostic) for statement in statements for diagnostic in _too_long(statement)]:
        errors += [diagnostic for _, diagnostic in too_long[:MAX_ERRORS]]
        unusable = {id(statement) for statement, _ in too_long}
        statements = tuple(statement for statement in statements if id(statement) not in unusable)
    if len(statements) > MAX_STATEMENTS:
        over = statements[MAX_STATEMENTS].span
        errors.append(Diagnostic("E005", f"the recipe has more than {MAX_STATEMENTS} statements", over))
        statements = ()
    return Recipe(source, statements, _comments(source)), errors
