"""From a statement to the tricks that it names, each with the values it is given (rules 1 to 4 of the language)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import attrs

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.source import Source, Span
from recipe.base.wording import did_you_mean, listing
from recipe.language.ast import Item, Statement, Word
from recipe.plan.arguments import Arguments, read_values, unknown
from recipe.plugins.fields import FieldContext, LazyValue
from recipe.plugins.trick import OWN, Trick
from recipe.plugins.uses import Origin, Use
from recipe.plugins.vocabulary import Key, Vocabulary

Suggestions = Mapping[tuple[Key, str], tuple[Any, str]]
"""Values that tricks suggest for fields of others, by a trick's key and the field's name, and what suggests each."""


@attrs.frozen
class ResolvedTrick:
    """A trick as a statement names it: its words, the values that it is given, and the source that says so."""

    trick: type[Trick]
    words: Span
    given: Arguments
    source: Source

    @property
    def key(self) -> Key:
        return self.trick.declared.verb, self.trick.declared.clause

    @property
    def origin(self) -> Origin:
        if self.source.kind == "dialect":
            return Origin("dialect", self.source.name)
        return Origin(self.source.kind, self.words.place, self.words)

    def fill(self, dialect: str, suggestions: Suggestions) -> Use:
        """The trick itself: what is given, else what is suggested, else the dialect's default, else the default.

        Raises `RecipeError` for a teacher that can't be.
        """
        values: dict[str, Any] = {}
        origins: dict[str, Origin] = {}
        for field in self.trick.declared.fields:
            if field.name in self.given:
                value, span = self.given[field.name]
                values[field.name] = value.make() if isinstance(value, LazyValue) else value
                origins[field.name] = Origin(self.source.kind, span.place, span)
            elif (self.key, field.name) in suggestions:
                values[field.name], by = suggestions[self.key, field.name]
                origins[field.name] = Origin("suggestion", f"suggested by {by}")
            elif dialect in field.dialects:
                values[field.name] = field.dialects[dialect]
                origins[field.name] = Origin("dialect", f"dialect {dialect}")
            else:
                values[field.name] = field.default
                chosen = self.source.kind == "dialect" and self.trick.declared.clause is not None
                origins[field.name] = self.origin if chosen else Origin("default", "default")
        return Use(self.trick(**values), origins, self.origin)


@attrs.frozen
class OpenClause:
    """A trick that a statement names, its words, and the items after them, which are not read yet."""

    trick: type[Trick]
    words: Span
    items: list[Item] = attrs.field(factory=list)


def opened(statement: Statement, vocabulary: Vocabulary) -> list[OpenClause]:
    """The tricks that a statement names. Raises `RecipeError` for words that are unknown or have two meanings."""
    verb, found = statement.verb, list[OpenClause]()
    if verb.text not in vocabulary.verbs():
        otherwise = "`recipe tricks` lists the vocabulary; --plugin adds that of a file"
        help = did_you_mean(verb.text, vocabulary.verbs(), otherwise)
        raise fail("E020", f"there is no verb `{verb.text}`", verb.span, help=help)
    clauses = vocabulary.clauses(verb.text)
    for item in statement.items:
        if item.value.text in clauses and _is_clause(verb, found, item, vocabulary):
            found.append(OpenClause(vocabulary.load(verb.text, item.value.text, item.span), item.span))
            continue
        if not found:
            if not vocabulary.has(verb.text):
                raise unknown(verb.text, item, clauses)
            found.append(OpenClause(vocabulary.load(verb.text, None, verb.span), verb.span))
        found[-1].items.append(item)
    if not statement.items:
        if not vocabulary.has(verb.text):
            raise fail("E025", f"`{verb.text}` needs a word after it", verb.span, help=f"one of {listing(clauses)}")
        found.append(OpenClause(vocabulary.load(verb.text, None, verb.span), verb.span))
    return found


def _is_clause(verb: Word, found: list[OpenClause], item: Item, vocabulary: Vocabulary) -> bool:
    """Whether an item that reads as the name of a clause is one, and no value of the trick before it.

    Where it could be both, our own meaning counts; between other packages it is an error (E081).
    """
    if item.name is not None or item.value.kind != "name":
        return False
    if vocabulary.is_ours((verb.text, item.value.text)):
        return True
    before = found[-1].trick if found else None
    if before is None and vocabulary.has(verb.text):
        with contextlib.suppress(RecipeError):  # a verb's own trick that is broken spoils no clause
            before = vocabulary.load(verb.text, None, verb.span)
    field = before.declared.taking(item.value.text) if before else None
    if before is None or field is None:
        return True
    if before.declared.package == OWN:
        return False
    (package, *_), theirs = vocabulary.packages((verb.text, item.value.text)), before.declared.package
    both = f"a clause of {package}, and a value of {field.word} of {theirs}"
    message = f"`{verb.text} {item.value.text}` would mean two things: {both}"
    raise fail("E081", message, item.span, help=f"for the value, write `{field.word}={item.value.text}`")


def named(statement: Statement, vocabulary: Vocabulary, reading: FieldContext, source: Source) -> list[ResolvedTrick]:
    """The tricks that a statement names, with their values. Raises `RecipeError` for all that is wrong with them."""
    clauses = vocabulary.clauses(statement.verb.text)
    errors: list[Diagnostic] = []
    found = []
    for one in opened(statement, vocabulary):
        try:
            given = read_values(one.trick, one.words, one.items, clauses, reading)
            found.append(ResolvedTrick(one.trick, one.words, given, source))
        except RecipeError as error:
            errors += error.diagnostics
    if errors:
        raise RecipeError(*errors)
    return found
