"""Complete the last word of a recipe that is being typed. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from recipe.base.errors import RecipeError
from recipe.language.overlays import DIALECTS
from recipe.plugins.declared import Declared
from recipe.plugins.during import SPAN_WORDS
from recipe.plugins.fields import Field
from recipe.plugins.vocabulary import DIRECTIVES, Vocabulary

FIRST = 40
"""The most values of a field that are offered before any of their letters are typed."""


def completions(text: str, vocabulary: Vocabulary) -> list[str]:
    """Return the words that can continue a recipe, each with the text before it.

    The words before the last one decide: a verb, then its clauses, the values of a field, and the names of fields.
    """
    before, partial = re.fullmatch(r"(.*?)([^\s;]*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    *_, statement = re.split(r"[;\n]", before)
    words = statement.split()
    if statement.count('"') % 2 or partial.startswith('"'):
        return []
    candidates = _following(words, partial, vocabulary) if words else _verbs(vocabulary)
    return [f"{before}{word}" for word in dict.fromkeys(candidates) if word.startswith(partial) and word != partial]


def _verbs(vocabulary: Vocabulary) -> Iterable[str]:
    return [*vocabulary.in_reading_order(), *DIRECTIVES]


def _following(words: list[str], partial: str, vocabulary: Vocabulary) -> Iterator[str]:
    """Yield the words that may follow those of a statement."""
    verb, *items = words
    if verb == "dialect":
        yield from () if items else DIALECTS
    elif verb == "drop":
        yield from sorted(vocabulary.clauses(items[0])) if items else vocabulary.in_reading_order()
    elif verb in vocabulary.verbs() - set(DIRECTIVES):
        clauses = vocabulary.clauses(verb)
        places = [place for place, item in enumerate(items) if item in clauses]
        clause, given = (items[places[-1]], items[places[-1] + 1 :]) if places else (None, items)
        try:
            declared = vocabulary.declared(verb, clause) if vocabulary.has(verb, clause) else None
        except RecipeError:  # a broken trick has no words to offer
            declared = None
        if declared is not None:
            yield from _values(declared, given, partial)
        yield from sorted(clauses - {items[place] for place in places})


def _values(declared: Declared, given: list[str], partial: str) -> Iterator[str]:
    """Yield the values and the names of fields that can follow what a trick has been given."""
    name, equals, _ = partial.partition("=")
    fields = {field.word: field for field in declared.fields}
    if equals:
        yield from (f"{name}={word}" for word in (_words(fields[name], partial) if name in fields else ()))
        return
    named = {item.partition("=")[0] for item in given if "=" in item}
    by_place = [field for field in declared.fields if field.word not in named]
    positional = len(given) - len(named)
    if not named and positional < len(by_place):
        yield from _words(by_place[positional], partial)
    for field in by_place[positional:]:
        values = field.kind.words if len(field.kind.words) <= FIRST else ()
        yield from (f"{field.word}={value}" for value in values or ("",))
    if declared.spans:
        yield from (f"{word}=" for word in SPAN_WORDS if word not in named)


def _words(field: Field, partial: str) -> Iterable[str]:
    return field.kind.words if partial or len(field.kind.words) <= FIRST else ()
