"""The decorator that makes a class a trick, and what it holds the class to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from inspect import get_annotations
from typing import Any, TypeVar, dataclass_transform

import attrs

from recipe.base.wording import listing, nearest
from recipe.language.overlays import DIALECTS
from recipe.plugins.field_contracts import REQUIRED_OF_IMAGES
from recipe.plugins.fields import Field, Number, architecture, choice, integer, number, numbers, path, teacher
from recipe.plugins.slots import COMBINED, EXCLUSIVE
from recipe.plugins.trick import HOOKS, RESERVED, Declared, Trick

FIELDS = (number, integer, numbers, choice, path, architecture, teacher)

WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_:-]*")
"""A verb or a clause: a name of the grammar, without the dot that parts the two in an entry point."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*")
"""A name of the grammar: that of a field, or a word that one takes."""

T = TypeVar("T", bound=type[Trick])

Class = Callable[[type[Trick], Declared], str | None]
"""What is wrong with a class that is declared so, before it has its fields."""

OfField = Callable[[Field], str | None]
"""What is wrong with a field."""


def _words(cls: type[Trick], declared: Declared) -> str | None:
    words = declared.word.split() if isinstance(declared.word, str) else []
    if len(words) in (1, 2) and all(map(WORD.fullmatch, words)):
        return None
    return "a trick's words are a verb, or a verb and a clause, as a recipe writes them"


def _relations(cls: type[Trick], declared: Declared) -> str | None:
    for name in ("reads", "writes", "after", "needs", "excludes"):
        words = getattr(declared, name)
        if not (isinstance(words, tuple) and all(isinstance(word, str) for word in words)):
            return f'{name}= takes a tuple, such as ("clip",), not {words!r}'
    return None


def _slots(cls: type[Trick], declared: Declared) -> str | None:
    slots = (*EXCLUSIVE, *COMBINED)
    unknown = next((slot for slot in (*declared.reads, *declared.writes) if slot not in slots), None)
    if unknown is None:
        return None
    near = nearest(unknown, slots)
    return f"there is no slot `{unknown}`; " + (f"did you mean `{near}`?" if near else f"slots are {', '.join(slots)}")


def _docstring(cls: type[Trick], declared: Declared) -> str | None:
    return None if (cls.__doc__ or "").strip() else "a docstring must say what it does"


def _types(cls: type[Trick], declared: Declared) -> str | None:
    untyped = next((name for name in _own_fields(cls) if name not in get_annotations(cls)), None)
    return untyped and f"`{untyped}` needs its type, such as `{untyped}: float = number(…)`"


def _inheritance(cls: type[Trick], declared: Declared) -> str | None:
    for base in cls.__mro__[1:]:
        for name in _own_fields(base):
            return f"`{name}` is a field of `{base.__name__}`, which is no trick; declare it in the class itself"
    return None


def _members(cls: type[Trick], declared: Declared) -> str | None:
    known = {*HOOKS, "api_version", *get_annotations(cls)}
    renamed = {hook.formerly: name for name, hook in HOOKS.items()}
    for name in vars(cls):
        if name in renamed and name not in known:
            return f"`{name}` is called `{renamed[name]}` now"
        if not name.startswith("_") and name not in known:
            near = nearest(name, HOOKS)
            help = f"did you mean `{near}`? Else " if near else ""
            return f"`{name}` is no hook; {help}begin the names of helpers with an underscore"
    return None


OF_CLASS: tuple[Class, ...] = (_words, _relations, _slots, _docstring, _types, _inheritance, _members)


def _name(field: Field) -> str | None:
    if field.name in HOOKS:
        return f"`{field.name}` is a hook, and can't be the name of a field"
    if field.name in RESERVED:
        return f"`{field.name}` is what every trick has, and can't be the name of a field"
    if field.name.startswith("_"):
        return f"`{field.name}` can't be the name of a field: those with an underscore are a trick's own"
    return None if NAME.fullmatch(field.word) else f"no recipe can write the name of the field `{field.name}`"


def _dialects(field: Field) -> str | None:
    unknown = next((name for name in field.dialects if name not in DIALECTS), None)
    return unknown and f"there is no dialect `{unknown}`, which `{field.name}` has a default for: {listing(DIALECTS)}"


def _defaults(field: Field) -> str | None:
    for value in (field.default, *field.dialects.values()):
        if value not in (attrs.NOTHING, None) and not field.kind.holds(value):
            return f"the default of `{field.name}` is {value!r}, and takes {field.kind.expects}"
    return None


def _values(field: Field) -> str | None:
    wrong = next((word for word in field.kind.words if not NAME.fullmatch(word)), None)
    return None if wrong is None else f"no recipe can write the word `{wrong}` of `{field.name}`"


def _help(field: Field) -> str | None:
    return None if field.help else f"`{field.name}` needs a line of help"


OF_FIELD: tuple[OfField, ...] = (_name, _dialects, _defaults, _values, _help)


def _sizes(made: type[Trick], fields: Iterable[Field]) -> str | None:
    """What is missing of a trick that opens images, which says their size and how many processes load them."""
    whole = {field.name for field in fields if isinstance(field.kind, Number) and field.kind.whole}
    missing = [name for name in REQUIRED_OF_IMAGES if name not in whole] if made.open is not Trick.open else []
    return f"it opens images, and needs the field `{missing[0]}: int = integer(…)`" if missing else None


def _own_fields(cls: type) -> Iterator[str]:
    """The names of the fields that a class itself states, and that nothing has made attributes of yet."""
    return (name for name, value in vars(cls).items() if "recipe" in getattr(value, "metadata", ()))


def _fields(made: type[Any]) -> Iterator[Field]:
    for attribute in attrs.fields(made):
        if "recipe" not in attribute.metadata:
            functions = ", ".join(f"{function.__name__}()" for function in FIELDS)
            raise TypeError(f"declare `{attribute.name}` with one of {functions}")
        yield attrs.evolve(attribute.metadata["recipe"], name=attribute.name)


def _hold(problems: Iterable[str | None]) -> None:
    for problem in filter(None, problems):
        raise TypeError(problem)


def _syntax(word: str, fields: tuple[Field, ...]) -> str:
    parts, named = [], False
    for field in fields:
        text = f"{field.word}={field.word.upper()}" if named else field.word.upper() + "…" * field.kind.many
        parts.append(text if field.required else f"[{text}]")
        named = named or field.kind.many  # a field that takes all that follows leaves only names to those after it
    return " ".join([word, *parts])


@dataclass_transform(
    frozen_default=True,
    kw_only_default=True,
    field_specifiers=(number, integer, numbers, choice, path, architecture, teacher),
)
def trick(
    word: str,
    *,
    position: int | None = None,
    reads: tuple[str, ...] = (),
    writes: tuple[str, ...] = ("run",),
    after: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    excludes: tuple[str, ...] = (),
) -> Callable[[T], T]:
    """Declare a trick: its words (``verb`` or ``verb clause``) and what it reads, writes, follows, needs and excludes.

    ``position`` is where people read its verb among the others; the tricks of one verb share it. It counts for
    recipe's own verbs alone: those of other packages follow, by name.

    Raises `TypeError` where the class breaks a rule of `Trick`; the message says which.
    """
    declared = Declared(word, reads, writes, after, needs, excludes, (), "", position, position)

    def declare(cls: T) -> T:
        try:
            _hold(check(cls, declared) for check in OF_CLASS)
            made = attrs.frozen(kw_only=True, eq=True)(cls)
            fields = tuple(_fields(made))
            _hold([*(check(field) for field in fields for check in OF_FIELD), _sizes(made, fields)])
        except TypeError as error:
            raise TypeError(f"trick `{word}`: {error}") from None
        made.declared = attrs.evolve(declared, fields=fields, syntax=_syntax(word, fields))
        return made

    return declare
