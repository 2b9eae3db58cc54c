"""The syntax tree of a recipe: words, items and statements, each with its location."""

from __future__ import annotations

import re

import attrs

from recipe.base.source import Source, Span

UNWRITABLE = re.compile("[\0\r\n\ud800-\udfff]")
"""Characters that a recipe file can't express but other text may contain."""


def quoted(text: str) -> str:
    """Return a text as a string in quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquoted(text: str) -> str:
    """Return the value of a string in quotes."""
    return re.sub(r"\\(.)", r"\1", text[1:-1])


@attrs.frozen
class Word:
    """A name, number, percentage or string as written. ``value`` is its plain Python value."""

    kind: str  # "name", "number", "percent" or "string"
    text: str
    span: Span = attrs.field(eq=False, repr=False)

    @property
    def value(self) -> str | float:
        if self.kind == "number":
            return float(self.text)
        if self.kind == "percent":
            digits, _, power = self.text[:-1].lower().partition("e")
            return float(f"{digits}e{int(power or 0) - 2}")  # 0.7% is 0.007, but 0.7 / 100 isn't
        if self.kind == "string":
            return unquoted(self.text)
        return self.text

    @property
    def is_nonzero(self) -> bool:
        """Whether a number is not written as zero. If it is too small for a float, its value is 0 nonetheless."""
        return bool(re.match("[^eE]*[1-9]", self.text))


@attrs.frozen
class Item:
    """A value, or ``name=value``."""

    value: Word
    name: Word | None = None

    @property
    def span(self) -> Span:
        return self.name.span.to(self.value.span) if self.name else self.value.span


@attrs.frozen
class Statement:
    """A verb and its items."""

    verb: Word
    items: tuple[Item, ...]

    @property
    def span(self) -> Span:
        return self.verb.span.to(self.items[-1].span) if self.items else self.verb.span

    def __str__(self) -> str:
        items = (f"{item.name.text}={item.value.text}" if item.name else item.value.text for item in self.items)
        return " ".join([self.verb.text, *items])


@attrs.frozen
class Recipe:
    """The syntax tree of a source: its statements and comments, in order."""

    source: Source = attrs.field(eq=False, repr=False)
    statements: tuple[Statement, ...]
    comments: tuple[Word, ...]
