"""Read the items after a trick's words as values of its fields: first by position, then by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.source import Span
from recipe.base.wording import did_you_mean, listing, nearest, plural
from recipe.language.ast import Item
from recipe.plan.meant import meant
from recipe.plan.spans import check_order, refused
from recipe.plan.unsupported import plain
from recipe.plugins.declared import Declared
from recipe.plugins.during import SPAN, SPAN_WORDS
from recipe.plugins.field_contracts import SIZE
from recipe.plugins.fields import Field
from recipe.plugins.kinds import FieldContext, InvalidValue
from recipe.plugins.slots import IMAGES
from recipe.plugins.vocabulary import Vocabulary

Arguments = Mapping[str, tuple[Any, Span]]
"""The value of each field that a statement sets, and its span."""


def read_arguments(
    declared: Declared, words: Span, items: Sequence[Item], vocabulary: Vocabulary, reading: FieldContext
) -> Arguments:
    """Return the values that items give to a trick's fields. ``words`` is the span of its words.

    Once an item names its field, all later ones must, except further values of a field that takes several. The same is
    true after the size of images, since a second number there is meant as the other side.
    """
    fields = {field.word: field for field in declared.fields}
    given: dict[str, tuple[Any, Span]] = {}
    field: Field | None = None
    named: Item | None = None
    for item in items:
        before = () if field is None else given.get(field.name, ((), item.span))[0]
        if field is None or item.name is not None or not field.kind.takes_more(before):
            if named is not None and item.name is None:
                raise _unnamed(declared, fields, field, named, item, given, vocabulary, reading)
            field = _field(declared, fields, item, given, vocabulary, reading)
            named = item if item.name is not None or _is_size(declared, field) else None
        try:
            value = field.kind.read(item.value, reading)
        except InvalidValue as unfit:
            raise _unfit(unfit, declared, field, item, fields, vocabulary) from None
        if not field.kind.many:
            given[field.name] = (value, item.span)
            continue
        before, span = given.get(field.name, ((), item.span))
        if before and not field.kind.may_follow(value, before[-1]):
            message = f"`{declared.word}` takes increasing numbers, and {item.value.text} is not an increase"
            raise fail("E024", message, item.span)
        given[field.name] = ((*before, value), span.to(item.span))
    for field in fields.values():
        if field.kind.many and field.name in given and not field.kind.holds(given[field.name][0]):
            values, span = given[field.name]
            message = (
                f"`{field.word}` of `{declared.word}` takes {field.kind.expects}, not {plural(len(values), 'value')}"
            )
            raise fail("E025", message, span, help=f"{field.word}: {field.help}")
    if missing := [field for field in declared.fields if field.required and field.name not in given]:
        message = f"`{declared.word}` needs {missing[0].kind.expects}"
        help = f"`{declared.syntax}`: {missing[0].help}"
        if meant_value := _meant_value(missing[0], words):
            message = f"`{declared.word}` needs a value for `{missing[0].word}`"
            help = f"did you mean `{meant_value}`?"
        elif missing[0].example:
            help += f"; for example, `{declared.word} {missing[0].example}`"
        raise RecipeError(Diagnostic("E025", message, words, help=help))
    check_order(declared, given)
    return given


def _meant_value(field: Field, words: Span) -> str:
    """Return the value of a field that the clause after a trick's words resembles, or an empty string."""
    following = re.match(r"\s+([\w-]+)", words.source.text[words.end :])
    return next((word for word in field.kind.words if following and plain(word) == plain(following[1])), "")


def _field(
    declared: Declared,
    fields: Mapping[str, Field],
    item: Item,
    given: Arguments,
    vocabulary: Vocabulary,
    reading: FieldContext,
) -> Field:
    """Return the field that an item sets: the one it names, or the first unset one."""
    word, clauses = declared.word, vocabulary.clauses(declared.verb)
    if item.name is None:
        free = [
            field
            for field in fields.values()
            if field.name not in given or (field.kind.many and field.kind.takes_more(given[field.name][0]))
        ]
        if free:
            return free[0]
        if item.value.kind == "name" and clauses:
            raise unknown(declared.verb, item, vocabulary)
        takes = plural(len(fields), "value") if fields else "no values"
        help = meant(item.value.text, vocabulary, ()) if item.value.kind == "name" else ""
        raise fail("E026", f"unexpected value `{item.value.text}`: `{word}` takes {takes}", item.span, help=help)
    name = item.name.text
    known = {**fields, **{field.word: field for field in SPAN if declared.spans}}
    known |= {field.formerly: field for field in fields.values() if field.formerly and reading.earlier}
    if name not in known:
        raise _unknown_field(declared, item, vocabulary)
    field = known[name]
    if field.name in given:
        where = given[field.name][1]
        raise fail("E027", f"`{name}` of `{word}` is set twice", item.span, others=((where, "first set here"),))
    return field


def _unknown_field(declared: Declared, item: Item, vocabulary: Vocabulary) -> RecipeError:
    """Return the error for a name that no field has."""
    assert item.name is not None
    word, verb, name = declared.word, declared.verb, item.name.text
    fields = {field.word: field for field in declared.fields}
    renamed = [field.word for field in declared.fields if field.formerly == name]
    if name in SPAN_WORDS and not renamed:
        return refused(word, item, vocabulary)
    spans = SPAN_WORDS if declared.spans else ()
    otherwise = f"its fields are {listing(fields)}" if fields else "it has no fields"
    known = {plain(other): rest for other, rest in declared.known_as.items() if "=" in rest}
    known |= {plain(field): f"{field}=" for field in fields}
    if (rest := known.get(plain(name))) is not None:
        help = f"for `{name}`, write `{rest}{item.value.text if rest.endswith('=') else ''}`"
    elif not (help := did_you_mean(name, [*fields, *spans])):
        help = meant(name, vocabulary, (), otherwise, after=f" {item.value.text}")
    if name in vocabulary.clauses(verb):
        help = f"`{name}` is a clause of `{verb}`: write `{verb} {name} {item.value.text}`"
    if renamed:
        help = f"it is now called `{renamed[0]}`"
    return fail("E022", f"`{word}` has no field `{name}`", item.name.span, help=help)


def _is_size(declared: Declared, field: Field) -> bool:
    return IMAGES in declared.writes and field.name == SIZE


def _unnamed(
    declared: Declared,
    fields: Mapping[str, Field],
    field: Field | None,
    named: Item,
    item: Item,
    given: Arguments,
    vocabulary: Vocabulary,
    reading: FieldContext,
) -> RecipeError:
    """Return the error for a value without a field's name after ``named``, which ends the values by position."""
    assert field is not None
    word, text = item.value, item.value.text
    ways = [
        f"`{other.word}={text}`"
        for other in fields.values()
        if other.name not in given and _reads(other, item, reading)
    ]
    square = "images are square, so " * _is_size(declared, field)
    takes = field.kind.expects if field.kind.many else "one value"
    otherwise = f"{square}`{field.word}` takes {takes} ({field.help})"
    if ways:
        otherwise += f"; if another field is meant, write {' or '.join(ways)}"
    if word.kind == "name" and not ways and text not in fields:
        otherwise = meant(text, vocabulary, vocabulary.clauses(declared.verb), otherwise, verb=declared.verb)
    message = f"unexpected value `{text}`: after `{named.span.text}`, each value needs a field's name"
    return fail("E026", message, item.span, help=otherwise)


def _reads(field: Field, item: Item, reading: FieldContext) -> bool:
    try:
        field.kind.read(item.value, reading)
    except InvalidValue:
        return False
    return True


def _unfit(
    unfit: InvalidValue,
    declared: Declared,
    field: Field,
    item: Item,
    fields: Mapping[str, Field],
    vocabulary: Vocabulary,
) -> RecipeError:
    """Return the error for a word that a field does not accept. It may be meant for another field or a clause."""
    name, word, clauses = item.value, declared.word, vocabulary.clauses(declared.verb)
    if name.kind == "name" and item.name is None and not field.kind.takes_name(name.text):
        for other in fields.values():
            if name.text in other.kind.words:
                message = f"`{word}` takes `{field.word}` first, not `{name.text}`"
                return fail("E023", message, name.span, help=f"did you mean `{other.word}={name.text}`?")
        if not field.kind.words and not nearest(name.text, clauses):
            listed = f"the clauses of `{declared.verb}` are {listing(clauses)}" if clauses else ""
            help = unfit.help or meant(name.text, vocabulary, (), listed, verb=declared.verb)
            return fail("E023", f"`{word}` {unfit.message}", name.span, help=help)
        return unknown(declared.verb, item, vocabulary, field)
    subject = f"`{word}`" if item.name is None else f"`{item.name.text}` of `{word}`"
    help = unfit.help or f"{field.word}: {field.help}"
    return fail(unfit.code, f"{subject} {unfit.message}", name.span, help=help)


def unknown(verb: str, item: Item, vocabulary: Vocabulary, field: Field | None = None) -> RecipeError:
    """Return the error for an item that is neither a clause of a verb nor a value of its field."""
    clauses = vocabulary.clauses(verb)
    if item.name is not None:
        name = item.name.text
        otherwise = f"put a clause before the field: {listing(clauses)}" if clauses else ""
        help = meant(name, vocabulary, (), otherwise, after=f" {item.value.text}")
        if name in clauses:
            help = f"`{name}` is a clause of `{verb}`: write `{verb} {name} {item.value.text}`"
        return fail("E022", f"`{verb}` has no field `{name}`", item.name.span, help=help)
    words = {*clauses, *(field.kind.words if field else ())}
    otherwise = f"`{verb}` accepts {listing(words)}" if words else ""
    help = meant(item.value.text, vocabulary, words, otherwise, verb=verb)
    return fail("E021", f"`{verb}` does not accept `{item.value.text}`", item.span, help=help)
