"""Resolve a statement to the tricks that it names, each with its given values (rules 1 to 4 of the language)."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.source import Source, Span
from recipe.base.wording import did_you_mean, listing, nearest, plural
from recipe.language.ast import Item, Statement, Word
from recipe.plugins.fields import Field, FieldContext, InvalidValue, LazyValue
from recipe.plugins.trick import OWN, Declared, Trick
from recipe.plugins.uses import Origin, Use
from recipe.plugins.vocabulary import Key, Vocabulary

Arguments = Mapping[str, tuple[Any, Span]]
"""The value of each field that a statement sets, and its span."""

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
        return Use(self.trick(**values), origins, self.origin, self.declared)


@attrs.frozen
class OpenClause:
    """A trick that a statement names, its words, and the items after them, not yet read."""

    trick: type[Trick]
    words: Span
    items: list[Item] = attrs.field(factory=list)


def opened(statement: Statement, vocabulary: Vocabulary) -> list[OpenClause]:
    """Return the tricks that a statement names. Raises `RecipeError` for unknown or ambiguous words."""
    verb, tricks = statement.verb, list[OpenClause]()
    if verb.text not in vocabulary.verbs():
        otherwise = "run `recipe tricks` to list the vocabulary, or use --plugin to add the tricks of a file"
        help = did_you_mean(verb.text, vocabulary.verbs(), otherwise)
        raise fail("E020", f"unknown verb `{verb.text}`", verb.span, help=help)
    clauses = vocabulary.clauses(verb.text)
    for item in statement.items:
        if item.value.text in clauses and _is_clause(verb, tricks, item, vocabulary):
            tricks.append(OpenClause(vocabulary.load(verb.text, item.value.text, item.span), item.span))
            continue
        if not tricks:
            if not vocabulary.has(verb.text):
                raise _unknown(verb.text, item, clauses)
            tricks.append(OpenClause(vocabulary.load(verb.text, None, verb.span), verb.span))
        tricks[-1].items.append(item)
    if not statement.items:
        if not vocabulary.has(verb.text):
            raise fail("E025", f"`{verb.text}` needs a clause", verb.span, help=f"add one of {listing(clauses)}")
        tricks.append(OpenClause(vocabulary.load(verb.text, None, verb.span), verb.span))
    return tricks


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
    clauses = vocabulary.clauses(statement.verb.text)
    errors: list[Diagnostic] = []
    resolved = []
    for clause in opened(statement, vocabulary):
        try:
            declared = vocabulary.declared(statement.verb.text, clause.trick.declared.clause)
            given = _read_values(declared, clause.words, clause.items, clauses, reading)
            resolved.append(ResolvedTrick(clause.trick, declared, clause.words, given, source))
        except RecipeError as error:
            errors += error.diagnostics
    if errors:
        raise RecipeError(*errors)
    return resolved


def _read_values(
    declared: Declared, words: Span, items: Sequence[Item], clauses: Collection[str], reading: FieldContext
) -> Arguments:
    """Return the values that items give to a trick's fields. ``words`` is its span, ``clauses`` those of its verb."""
    fields = {field.word: field for field in declared.fields}
    given: dict[str, tuple[Any, Span]] = {}
    field: Field | None = None
    for item in items:
        if field is None or not field.kind.many or item.name is not None:  # else it takes all that follow
            field = _field(declared.word, fields, item, given, clauses)
        try:
            value = field.kind.read(item.value, reading)
        except InvalidValue as unfit:
            raise _unfit(unfit, declared.word, field, item, clauses, fields) from None
        if not field.kind.many:
            given[field.name] = (value, item.span)
            continue
        before, span = given.get(field.name, ((), item.span))
        if before and value <= before[-1]:
            message = f"`{declared.word}` takes increasing numbers, and {item.value.text} is not an increase"
            raise fail("E024", message, item.span)
        given[field.name] = ((*before, value), span.to(item.span))
    if missing := [field for field in declared.fields if field.required and field.name not in given]:
        message = f"`{declared.word}` needs {missing[0].kind.expects}"
        raise RecipeError(Diagnostic("E025", message, words, help=f"`{declared.syntax}`: {missing[0].help}"))
    return given


def _field(word: str, fields: Mapping[str, Field], item: Item, given: Arguments, clauses: Collection[str]) -> Field:
    """Return the field that an item sets: the one it names, or the first unset one."""
    if item.name is None:
        free = [field for field in fields.values() if field.name not in given or field.kind.many]
        if free:
            return free[0]
        if item.value.kind == "name":
            raise _unknown(word.split()[0], item, clauses)
        takes = plural(len(fields), "value") if fields else "no values"
        raise fail("E026", f"unexpected value `{item.value.text}`: `{word}` takes {takes}", item.span)
    name = item.name.text
    if name not in fields:
        help = did_you_mean(name, fields, f"its fields are {listing(fields)}" if fields else "it has no fields")
        raise fail("E022", f"`{word}` has no field `{name}`", item.name.span, help=help)
    field = fields[name]
    if field.name in given:
        where = given[field.name][1]
        raise fail("E027", f"`{name}` of `{word}` is set twice", item.span, others=((where, "first set here"),))
    return field


def _unfit(
    unfit: InvalidValue, word: str, field: Field, item: Item, clauses: Collection[str], fields: Mapping[str, Field]
) -> RecipeError:
    """Return the error for a word that a field does not accept. It may be meant for another field or a clause."""
    name = item.value
    if name.kind == "name" and item.name is None and not field.kind.takes_name(name.text):
        for other in fields.values():
            if name.text in other.kind.words:
                message = f"`{word}` takes `{field.word}` first, not `{name.text}`"
                return fail("E023", message, name.span, help=f"did you mean `{other.word}={name.text}`?")
        if not field.kind.words and not nearest(name.text, clauses):
            return fail("E023", f"`{word}` {unfit.message}", name.span, help=unfit.help)
        return _unknown(word.split()[0], item, clauses, field)
    subject = f"`{word}`" if item.name is None else f"`{item.name.text}` of `{word}`"
    help = unfit.help or f"{field.word}: {field.help}"
    return fail(unfit.code, f"{subject} {unfit.message}", name.span, help=help)


def _unknown(verb: str, item: Item, clauses: Collection[str], field: Field | None = None) -> RecipeError:
    """Return the error for an item that is neither a clause of a verb nor a value of its field."""
    if item.name is not None:
        help = f"put a clause before the field: {listing(clauses)}" if clauses else ""
        return fail("E022", f"`{verb}` has no field `{item.name.text}`", item.name.span, help=help)
    words = {*clauses, *(field.kind.words if field else ())}
    help = did_you_mean(item.value.text, words, f"`{verb}` accepts {listing(words)}" if words else "")
    return fail("E021", f"`{verb}` does not accept `{item.value.text}`", item.span, help=help)
