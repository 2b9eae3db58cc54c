"""Resolve a statement to the tricks that it names, each with its given values (rules 1 to 4 of the language)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import attrs

from recipe.base.caller import option
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.source import Source, Span
from recipe.base.wording import listing
from recipe.language.ast import Item, Statement, Word
from recipe.plan.arguments import Arguments, read_arguments, unknown
from recipe.plan.meant import meant
from recipe.plan.separating import check_separated
from recipe.plugins.declared import OWN, Declared
from recipe.plugins.during import SPAN, During
from recipe.plugins.kinds import FieldContext, LazyValue
from recipe.plugins.trick import Trick
from recipe.plugins.uses import Origin, Use
from recipe.plugins.vocabulary import Key, Vocabulary

Suggestions = Mapping[tuple[Key, str], tuple[Any, str]]
"""Suggested values by trick key and field name, each with the trick that suggests it."""


@attrs.frozen
class ResolvedTrick:
    """A trick as a statement names it, with its words, its given values, and the source of the statement."""

    trick: type[Trick]
    declared: Declared
    words: Span
    given: Arguments
    source: Source

    @property
    def key(self) -> Key:
        return self.declared.verb, self.declared.clause

    @property
    def origin(self) -> Origin:
        if self.source.kind == "dialect":
            return Origin("dialect", self.source.name)
        if self.source.kind == "suggestion":
            return Origin("suggestion", self.source.name)
        return Origin(self.source.kind, self.words.place, self.words)

    def fill(self, dialect: str, suggestions: Suggestions) -> Use:
        """Return the trick with all its values: given, suggested, the dialect's default or the default, in that order.

        Raises `RecipeError` for an invalid teacher.
        """
        values: dict[str, Any] = {}
        origins: dict[str, Origin] = {}
        for field in self.declared.fields:
            if field.name in self.given:
                value, span = self.given[field.name]
                values[field.name] = value.make() if isinstance(value, LazyValue) else value
                origins[field.name] = Origin(self.source.kind, span.place, span)
            elif self.source.is_lock and field.before is not None:
                values[field.name] = field.before
                origins[field.name] = Origin("default", "as before the field existed")
            elif (self.key, field.name) in suggestions:
                values[field.name], by = suggestions[self.key, field.name]
                origins[field.name] = Origin("suggestion", f"suggested by {by}")
            elif dialect in field.dialects:
                values[field.name] = field.dialects[dialect]
                origins[field.name] = Origin("dialect", f"dialect {dialect}")
            else:
                values[field.name] = field.default
                chosen = self.source.kind == "dialect" and self.declared.clause is not None
                origins[field.name] = self.origin if chosen else Origin("default", "default")
        moments: dict[str, Any] = {}
        for field in (field for field in SPAN if field.name in self.given):
            moments[field.name], span = self.given[field.name]
            origins[field.name] = Origin(self.source.kind, span.place, span)
        return Use(self.trick(**values), origins, self.origin, self.declared, During(**moments))


@attrs.frozen
class OpenClause:
    """A trick that a statement names, its words, and the items after them, not yet read."""

    trick: type[Trick]
    words: Span
    items: list[Item] = attrs.field(factory=list)


def opened(statement: Statement, vocabulary: Vocabulary, *, lock: bool = False) -> list[OpenClause]:
    """Return the tricks that a statement names. Raises `RecipeError` for unknown or ambiguous words.

    In a ``lock``, a verb alone may stand for a trick that has been renamed since.
    """
    verb, tricks = statement.verb, list[OpenClause]()
    if verb.text not in vocabulary.verbs():
        otherwise = (
            f"run `recipe tricks` to list the vocabulary, or use {option('--plugin')} to add the tricks of a file"
        )
        help = meant(verb.text, vocabulary, vocabulary.verbs(), otherwise, after=statement.span.text[len(verb.text) :])
        raise fail("E020", f"unknown verb `{verb.text}`", verb.span, help=help)
    if not lock:  # it states which field each value is of
        check_separated(statement, vocabulary)
    clauses = vocabulary.clauses(verb.text)
    for item in statement.items:
        if item.value.text in clauses and _is_clause(verb, tricks, item, vocabulary):
            tricks.append(OpenClause(vocabulary.load(verb.text, item.value.text, item.span), item.span))
            continue
        if not tricks:
            is_name = item.name is None and item.value.kind == "name"  # a misspelled clause
            clause = None if is_name else vocabulary.renamed(verb.text)
            if clause is not None and not lock:
                raise _without_clause(statement, vocabulary)
            if clause is None and not vocabulary.has(verb.text):
                raise unknown(verb.text, item, vocabulary)
            tricks.append(OpenClause(vocabulary.load(verb.text, clause, verb.span), verb.span))
        tricks[-1].items.append(item)
    if not statement.items:
        if not vocabulary.has(verb.text):
            raise _without_clause(statement, vocabulary)
        tricks.append(OpenClause(vocabulary.load(verb.text, None, verb.span), verb.span))
    return tricks


def _without_clause(statement: Statement, vocabulary: Vocabulary) -> RecipeError:
    """Return the error for a verb without the clause that it needs, perhaps only since its trick was renamed."""
    verb, rest = statement.verb, statement.span.text[len(statement.verb.text) :]
    help = f"add one of {listing(vocabulary.clauses(verb.text))}"
    if clause := vocabulary.renamed(verb.text):
        help += f"; what `{verb.text}{rest}` did in earlier releases is now `{verb.text} {clause}{rest}`"
    return fail("E025", f"`{verb.text}` needs a clause", verb.span, help=help)


def _is_clause(verb: Word, tricks: list[OpenClause], item: Item, vocabulary: Vocabulary) -> bool:
    """Whether an item is a clause, not a value of the trick before it. Built-in meanings win; others are E081."""
    if item.name is not None or item.value.kind != "name":
        return False
    if vocabulary.is_ours((verb.text, item.value.text)):
        return True
    before = tricks[-1].trick if tricks else None
    if before is None and vocabulary.has(verb.text):
        with contextlib.suppress(RecipeError):  # a broken trick doesn't affect the clauses of its verb
            before = vocabulary.load(verb.text, None, verb.span)
    field = before.declared.taking(item.value.text) if before else None
    if before is None or field is None:
        return True
    theirs, *_ = vocabulary.packages((verb.text, before.declared.clause))
    if theirs == OWN:
        return False
    package, *_ = vocabulary.packages((verb.text, item.value.text))
    both = f"a clause from {package}, or a value of `{field.word}` from {theirs}"
    message = f"`{verb.text} {item.value.text}` is ambiguous: {both}"
    raise fail("E081", message, item.span, help=f"write `{field.word}={item.value.text}` for the value")


def named(statement: Statement, vocabulary: Vocabulary, reading: FieldContext, source: Source) -> list[ResolvedTrick]:
    """Return the tricks that a statement names, with their values. Raises one `RecipeError` with all errors."""
    errors: list[Diagnostic] = []
    resolved = []
    for clause in opened(statement, vocabulary, lock=source.is_lock):
        try:
            declared = vocabulary.declared(statement.verb.text, clause.trick.declared.clause)
            given = read_arguments(declared, clause.words, clause.items, vocabulary, reading)
            resolved.append(ResolvedTrick(clause.trick, declared, clause.words, given, source))
        except RecipeError as error:
            errors += error.diagnostics
    if errors:
        raise RecipeError(*errors)
    return resolved
