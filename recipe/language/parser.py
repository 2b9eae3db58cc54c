"""From text to syntax: a `Recipe` of statements. No meaning is given here."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import lark

from recipe.base.diagnostics import Diagnostic
from recipe.base.source import Source, Span
from recipe.language.ast import Item, Recipe, Statement, Word

MAX_STATEMENTS = 1000
MAX_ERRORS = 10

_STRING = r'"(?:\\["\\]|[^"\\\n])*"'  # as in the grammar
_QUOTED = r'"(?:\\[^\n]|[^"\\\n])*"'  # what was meant as a string


@cache
def _parser() -> lark.Lark:
    grammar = (resources.files("recipe.grammar") / "recipe.lark").read_text("utf-8")
    return lark.Lark(grammar, start="recipe", parser="lalr", lexer="basic", propagate_positions=False)


def _word(token: lark.Token, source: Source) -> Word:
    start = token.start_pos or 0
    return Word(token.type.lower(), str(token), Span(source, start, start + len(token)))


def _statement(tree: lark.Tree[lark.Token], source: Source) -> Statement:
    verb, *rest = tree.children
    items = []
    for child in rest:
        assert isinstance(child, lark.Tree)
        if child.data == "assignment":
            name, value = child.children
            assert isinstance(value, lark.Tree)
            items.append(Item(_word(value.children[0], source), _word(name, source)))  # type: ignore[arg-type]
        else:
            items.append(Item(_word(child.children[0], source)))  # type: ignore[arg-type]
    return Statement(_word(verb, source), tuple(items))  # type: ignore[arg-type]


def _comments(source: Source) -> tuple[Word, ...]:
    """Every comment, found by the rule of the grammar: a ``#`` outside of a string, to the end of its line."""
    found = re.finditer(rf"{_STRING}|(#[^\n]*)", source.text)
    return tuple(Word("comment", m[1], Span(source, m.start(1), m.end(1))) for m in found if m[1] is not None)


def _statement_around(text: str, span: Span) -> tuple[int, int]:
    """Where the statement that a span lies in begins and ends; separators in strings and comments are none."""
    separators = [m.start() for m in re.finditer(rf"{_QUOTED}|#[^\n]*|[;\n]", text) if m[0] in ";\n"]
    start = max((place + 1 for place in separators if place < span.start), default=0)
    end = min((place for place in separators if place >= max(span.end, start)), default=len(text))
    return start, end


def _explain(error: lark.UnexpectedInput, source: Source) -> Diagnostic:
    """A syntax error in the words of the language."""
    text = source.text
    start = min(error.pos_in_stream if error.pos_in_stream is not None else len(text), len(text))
    if isinstance(error, lark.UnexpectedToken) and error.token.type == "$END":
        return Diagnostic("E010", "the recipe ends in the middle of a statement", Span(source, len(text), len(text)))
    rest = text[start:].split("\n", 1)[0]
    if isinstance(error, lark.UnexpectedToken) and error.token.type == "_SEP":
        return Diagnostic("E010", "a value is missing after `=`", Span(source, start, start))
    quoted = re.match(_QUOTED, rest)
    if quoted and not re.match(_STRING, rest):
        at = start + next(m.start() for m in re.finditer(r"\\(.)", rest) if m[1] not in '"\\')
        help = 'in a string, a backslash is written `\\\\` and a quote `\\"`'
        span = Span(source, at, at + 2)
        return Diagnostic("E012", f"`{span.text}` means nothing in a string", span, help=help)
    if rest.startswith('"') and not quoted:
        return Diagnostic(
            "E012",
            "the string does not end on its line",
            Span(source, start, start + len(rest)),
            help='close it with `"`',
        )
    if isinstance(error, lark.UnexpectedToken):
        span = Span(source, start, start + max(1, len(error.token)))
        if error.token.type == "EQUAL":
            return Diagnostic(
                "E010",
                "unexpected `=`",
                span,
                help="a statement begins with its verb and a blank: `batch 256`; `field=value` comes after it",
            )
        return Diagnostic(
            "E010", f"a statement begins with a verb, not with `{error.token}`", span, help="see `recipe tricks`"
        )
    word = (re.match(r'"(?:\\["\\]|[^"\\\n])*"[^\s;#]*|[^\s;#=]+|.', rest) or [rest])[0]
    span = Span(source, start, start + max(1, len(word)))
    if word.startswith('"'):
        return Diagnostic("E011", "a blank is missing after the string", span)
    if re.match(r"[+-]?\.?\d", word):
        help = "numbers are written `0.1`, `1e-4` or `10%`; a word that begins with a digit needs quotes"
        return Diagnostic("E011", f"`{word}` is not a number", span, help=help)
    if re.search(r"[/\\~]", word):
        return Diagnostic("E011", f"the path `{word}` needs quotes", span, help=f'write `"{word}"`')
    shown = word if word.isprintable() else ascii(word)[1:-1]
    return Diagnostic(
        "E011", f"`{shown}` is no word of a recipe", span, help="other text than plain words needs quotes"
    )


def _encoding(source: Source) -> Diagnostic | None:
    if source.text.startswith("\ufeff"):
        span, message, cure = Span(source, 0, 1), "byte order mark", "without it"
        return Diagnostic("E003", message, span, help=f"`recipe fmt` rewrites the file {cure}")
    if "\r" in source.text:
        start = source.text.index("\r")
        span, message = Span(source, start, start + 1), "a carriage return: lines end in LF alone"
        return Diagnostic("E004", message, span, help="`recipe fmt` rewrites the file with plain line ends")
    return None


def parse(source: Source) -> tuple[Recipe, list[Diagnostic]]:
    """Parse a source; syntax errors are returned, with the recipe of the statements that are sound.

    >>> from pathlib import Path
    >>> recipe, errors = parse(Source("demo", "base resnet50; batch 1024", Path(".")))
    >>> [statement.verb.text for statement in recipe.statements]
    ['base', 'batch']
    """
    if wrong := _encoding(source):
        return Recipe(source, (), ()), [wrong]
    text, errors = source.text, []
    while True:
        try:
            tree = _parser().parse(text)
            break
        except lark.UnexpectedInput as error:
            diagnostic = _explain(error, source)
            errors.append(diagnostic)
            if len(errors) == MAX_ERRORS or diagnostic.span is None:
                return Recipe(source, (), ()), errors
            # Leave the statement out and go on, so that one run shows every error.
            start, end = _statement_around(text, diagnostic.span)
            blank = re.sub(r"[^\n]", " ", text[start:end])
            if blank == text[start:end]:
                return Recipe(source, (), ()), errors
            text = text[:start] + blank + text[end:]
    statements = tuple(_statement(child, source) for child in tree.children if isinstance(child, lark.Tree))
    if len(statements) > MAX_STATEMENTS:
        over = statements[MAX_STATEMENTS].span
        errors.append(Diagnostic("E005", f"more than {MAX_STATEMENTS} statements, too many for a recipe", over))
        statements = ()
    return Recipe(source, statements, _comments(source)), errors
