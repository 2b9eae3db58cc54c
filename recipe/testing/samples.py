"""Values that a field may have, worked out from its kind."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from recipe.base.source import Source
from recipe.language.ast import Word
from recipe.language.parser import parse
from recipe.plugins.fields import (
    Architecture,
    Choice,
    Field,
    FieldContext,
    InvalidValue,
    Kind,
    Number,
    Numbers,
    written,
)

LARGEST = 4
"""A whole number, such as a count of epochs, is tried up to twice its default, or up to this."""

PAIRS = 8
"""At most so many pairs of a field's values are tried."""


def samples(field: Field) -> list[str]:
    """Values as a recipe writes them: the default, where there is one, then others; none where a kind suggests none."""
    kind = field.kind
    if isinstance(kind, Architecture):
        return []
    if isinstance(kind, Choice):
        default = [field.default] if field.default in kind.words else []
        return list(dict.fromkeys([*default, *kind.words]))
    if isinstance(kind, Numbers):
        default = [kind.write(field.default)] if field.default else []
        return list(dict.fromkeys([*default, *_numbers(kind.each, None)]))
    if isinstance(kind, Number):
        return _numbers(kind, field.default)
    return []


def pairs(field: Field) -> Iterator[tuple[str, str]]:
    """Pairs of values, the most promising first."""
    return itertools.islice(itertools.combinations(samples(field), 2), PAIRS)


def _numbers(kind: Number, default: object) -> list[str]:
    given = isinstance(default, (int, float))
    first = float(default) if isinstance(default, (int, float)) else 1.0
    if kind.whole:
        found = [first, first // 2, 2 * first, 2.0, 1.0, 4.0, kind.minimum, 0.0]
        found = [number for number in found if number <= max(2 * first, LARGEST)] or [kind.minimum]
    else:
        found = [first, first / 2, 2 * first, kind.minimum, kind.maximum, 0.5, 0.25, 0.1, 1.5, 0.0]
    texts = [written(number) for number in found if abs(number) < 1e9]
    fitting = [text for text in dict.fromkeys(texts) if fits(kind, text) or (given and text == texts[0])]
    return [*fitting, *kind.words]


def fits(kind: Kind, text: str) -> bool:
    """Whether a kind takes a value as it is written."""
    (statement,) = parse(Source("<value>", f"value x={text}", Path.cwd()))[0].statements
    try:
        kind.read(statement.items[0].value, FieldContext(Path.cwd(), _no_recipe))
    except InvalidValue:
        return False
    return True


def _no_recipe(path: Path, word: Word) -> str:
    raise InvalidValue("E023", "names another recipe")
