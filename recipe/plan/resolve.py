"""From a statement to the tricks that it names, each with the values it is given (rules 1 to 4 of the language)."""

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
"""The value of each field that a statement gives, and its place."""

Suggestions = Mapping[tuple[Key, str], tuple[Any, str]]
"""Values that tricks suggest for fields of others, by a trick's key and the field's name, and what suggests each."""


@attrs.frozen
class ResolvedTrick:
    """A trick as a statement names it: its words, the values that it is given, and the source that says so."""

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
        """The trick itself: what is given, else what is suggested, else the dialect's default, else the default.

        Raises `RecipeError` for a teacher that can't be.
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
    """A trick that a statement names, its words, and the items after them, which are not read yet."""

    trick: type[Trick]
    words: Span
    items: list[Item] = attrs.field(factory=list)


def opened(statement: Statement, vocabulary: Vocabulary) -> list[OpenClause]:
    """The tricks that a statement names. Raises `RecipeError` for words that are unknown or have two meanings."""
    verb, tricks = statement.verb, list[OpenClause]()
    if verb.text not in vocabulary.verbs():
        otherwise = "`recipe tricks` lists the vocabulary; --plugin adds that of a file"
        help = did_you_mean(verb.text, vocabulary.verbs(), otherwise)
        raise fail("E020", f"there is no verb `{verb.text}`", verb.span, help=help)
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
            raise fail("E025", f"`{verb.text}` needs a word after it", verb.span, help=f"one of {listing(clauses)}")
        tricks.append(OpenClause(vocabulary.load(verb.text, None, verb.span), verb.span))
    return tricks


def _is_clause(verb: Word, tricks: list[OpenClause], item: Item, vocabulary: Vocabulary) -> bool:
    """Whether an item is a clause, and no value of the trick before it. Our own meaning counts; else two are E081."""
    if item.name is not None or item.value.kind != "name":
        return False
    if vocabulary.is_ours((verb.text, item.value.text)):
        return True
    before = tricks[-1].trick if tricks else None
    if before is None and vocabulary.has(verb.text):
        with contextlib.suppress(RecipeError):  # a verb's own trick that is broken spoils no clause
            before = vocabulary.load(verb.text, None, verb.span)
    field = before.declared.taking(item.value.text) if before else None
    if before is None or field is None:
        return True
    theirs, *_ = vocabulary.packages((verb.text, before.declared.clause))
    if theirs == OWN:
        return False
    package, *_ = vocabulary.packages((verb.text, item.value.text))
    both = f"a clause of {package}, and a value of {field.word} of {theirs}"
    message = f"`{verb.text} {item.value.text}` would mean two things: {both}"
    raise fail("E081", message, item.span, help=f"for the value, write `{field.word}={item.value.text}`")


def named(statement: Statement, vocabulary: Vocabulary, reading: FieldContext, source: Source) -> list[ResolvedTrick]:
    """The tricks that a statement names, with their values. Raises `RecipeError` for all that is wrong with them."""
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
    """The values that items give to the fields of a trick, which stands at ``words`` beside clauses of its verb."""
    fields = {field.word: field for field in declared.fields}
    given: dict[str, tuple[Any, Span]] = {}
    field: Field | None = None
    for item in items:
        if field is None or not field.kind.many or item.name is not None:  # which takes all that follows
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
            message = f"`{declared.word}` takes rising numbers, and {item.value.text} does not rise"
            raise fail("E024", message, item.span)
        given[field.name] = ((*before, value), span.to(item.span))
    if missing := [field for field in declared.fields if field.required and field.name not in given]:
        message = f"`{declared.word}` needs {missing[0].kind.expects}"
        raise RecipeError(Diagnostic("E025", message, words, help=f"`{declared.syntax}`: {missing[0].help}"))
    return given


def _field(word: str, fields: Mapping[str, Field], item: Item, given: Arguments, clauses: Collection[str]) -> Field:
    """The field that an item is for: the one it names, else the first that is free."""
    if item.name is None:
        free = [field for field in fields.values() if field.name not in given or field.kind.many]
        if free:
            return free[0]
        if item.value.kind == "name":
            raise _unknown(word.split()[0], item, clauses)
        takes = plural(len(fields), "value") if fields else "no value"
        raise fail("E026", f"`{word}` takes {takes}, and `{item.value.text}` is one more", item.span)
    name = item.name.text
    if name not in fields:
        help = did_you_mean(name, fields, f"it has {listing(fields)}" if fields else "it has none")
        raise fail("E022", f"`{word}` has no field `{name}`", item.name.span, help=help)
    field = fields[name]
    if field.name in given:
        where = given[field.name][1]
        raise fail("E027", f"`{name}` of `{word}` is given twice", item.span, others=((where, "it is given here"),))
    return field


def _unfit(
    unfit: InvalidValue, word: str, field: Field, item: Item, clauses: Collection[str], fields: Mapping[str, Field]
) -> RecipeError:
    """What to say of a word that a field does not take: it may be meant for another field, or for a clause."""
    name = item.value
    if name.kind == "name" and item.name is None and not field.kind.takes_name(name.text):
        for other in fields.values():
            if name.text in other.kind.words:
                message = f"`{word}` takes {field.word} first, and `{name.text}` is none"
                return fail("E023", message, name.span, help=f"did you mean `{other.word}={name.text}`?")
        if not field.kind.words and not nearest(name.text, clauses):
            return fail("E023", f"`{word}` {unfit.message}", name.span, help=unfit.help)
        return _unknown(word.split()[0], item, clauses, field)
    subject = f"`{word}`" if item.name is None else f"`{item.name.text}` of `{word}`"
    help = unfit.help or f"{field.word}: {field.help}"
    return fail(unfit.code, f"{subject} {unfit.message}", name.span, help=help)


def _unknown(verb: str, item: Item, clauses: Collection[str], field: Field | None = None) -> RecipeError:
    """What to say of an item that is neither a clause of a verb nor a value of its field."""
    if item.name is not None:
        help = f"fields belong to a clause: {listing(clauses)}" if clauses else ""
        return fail("E022", f"`{verb}` has no field `{item.name.text}`", item.name.span, help=help)
    words = {*clauses, *(field.kind.words if field else ())}
    help = did_you_mean(item.value.text, words, f"`{verb}` knows {listing(words)}" if words else "")
    return fail("E021", f"`{verb}` does not know `{item.value.text}`", item.span, help=help)
