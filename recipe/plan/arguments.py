"""The items that belong to a trick, read into the values of its fields (rules 1, 2 and 4 of the language)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.source import Span
from recipe.base.wording import did_you_mean, listing, nearest, plural
from recipe.language.ast import Item
from recipe.plugins.fields import Field, FieldContext, InvalidValue
from recipe.plugins.trick import Trick

Arguments = Mapping[str, tuple[Any, Span]]
"""The value of each field that a statement gives, and its place."""


def read_values(
    trick: type[Trick], words: Span, items: Sequence[Item], clauses: Collection[str], reading: FieldContext
) -> Arguments:
    """The values that items give to the fields of a trick, which stands at ``words`` beside some clauses of its verb.

    Raises `RecipeError`.
    """
    declared = trick.declared
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
            raise unknown(word.split()[0], item, clauses)
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
        return unknown(word.split()[0], item, clauses, field)
    subject = f"`{word}`" if item.name is None else f"`{item.name.text}` of `{word}`"
    help = unfit.help or f"{field.word}: {field.help}"
    return fail(unfit.code, f"{subject} {unfit.message}", name.span, help=help)


def unknown(verb: str, item: Item, clauses: Collection[str], field: Field | None = None) -> RecipeError:
    """What to say of an item that is neither a clause of a verb nor a value of its field."""
    if item.name is not None:
        help = f"fields belong to a clause: {listing(clauses)}" if clauses else ""
        return fail("E022", f"`{verb}` has no field `{item.name.text}`", item.name.span, help=help)
    words = {*clauses, *(field.kind.words if field else ())}
    help = did_you_mean(item.value.text, words, f"`{verb}` knows {listing(words)}" if words else "")
    return fail("E021", f"`{verb}` does not know `{item.value.text}`", item.span, help=help)
