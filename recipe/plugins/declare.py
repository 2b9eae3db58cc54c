"""The decorator that makes a class a trick, and the checks that it runs on the class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import get_annotations, getattr_static, isfunction, signature
from math import inf
from typing import Any, TypeVar, dataclass_transform

import attrs

from recipe.base.wording import did_you_mean, listing
from recipe.language.overlays import DIALECTS
from recipe.plugins.declared import Declared
from recipe.plugins.during import SPAN_WORDS
from recipe.plugins.field_contracts import APPEARANCE, REQUIRED_OF_IMAGES
from recipe.plugins.fields import (
    REQUIRED,
    Field,
    address,
    architecture,
    choice,
    integer,
    metric,
    number,
    numbers,
    path,
    share_or_path,
    teacher,
    text,
)
from recipe.plugins.kinds import Number
from recipe.plugins.slots import COMBINED, EXCLUSIVE
from recipe.plugins.trick import HOOKS, REPORTING, RESERVED, Trick

FIELDS = (number, integer, numbers, choice, path, architecture, teacher, metric, address, share_or_path, text)

WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_:-]*")
"""A verb or a clause: a name in the grammar, without a dot, which separates the two in an entry point."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*")
"""A name in the grammar: the name of a field, or a word that a field takes."""

T = TypeVar("T", bound=type[Trick])


def _check_class(cls: type[Trick], declared: Declared) -> None:
    """Raise `TypeError` for an invalid declaration or class, before its fields are made."""
    words = declared.word.split() if isinstance(declared.word, str) else []
    if len(words) not in (1, 2) or not all(map(WORD.fullmatch, words)):
        raise TypeError("a trick's words must be a verb, or a verb and a clause, as a recipe writes them")
    for name in ("reads", "writes", "after", "needs", "excludes", "similar_to"):
        related = getattr(declared, name)
        if not (isinstance(related, tuple) and all(isinstance(word, str) for word in related)):
            raise TypeError(f'{name}= takes a tuple, such as ("clip",), not {related!r}')
    names = declared.known_as
    if not all(isinstance(name, str) and WORD.fullmatch(name) for name in (*names, *declared.similar_to)):
        raise TypeError("known_as= and similar_to= take names as a recipe could write them")
    if not all(isinstance(rest, str) for rest in names.values()):
        raise TypeError("known_as= takes a tuple of names, or a mapping from names to what a recipe writes")
    slots = (*EXCLUSIVE, *COMBINED)
    for slot in (*declared.reads, *declared.writes):
        if slot not in slots:
            help = did_you_mean(slot, slots, f"the slots are {', '.join(slots)}")
            raise TypeError(f"unknown slot `{slot}`; {help}")
    if not (cls.__doc__ or "").strip():
        raise TypeError("the class needs a docstring that says what the trick does")
    for name in _own_fields(cls):
        if name.startswith("_"):
            raise TypeError(f"`{name}` can't be the name of a field: a leading underscore marks a helper")
        if name not in get_annotations(cls):
            raise TypeError(f"`{name}` needs a type annotation, such as `{name}: float = number(…)`")
    for base in cls.__mro__[1:]:
        for name in _own_fields(base):
            where = f"of `{base.__name__}`, which is not a trick"
            raise TypeError(f"`{name}` is a field {where}; declare it in the class itself")
    _check_members(cls)


def _check_members(cls: type[Trick]) -> None:
    """Raise `TypeError` for a member that is not a hook, a field or a helper."""
    for base in (base for base in cls.__mro__ if base not in Trick.__mro__ and "__attrs_attrs__" not in vars(base)):
        for name, value in vars(base).items():
            if re.fullmatch("__(?!annotate|repr).+__", name) and callable(value):
                raise TypeError(f"a trick can't define `{name}`: it is a value, made from its fields")
    renamed = {hook.formerly: name for name, hook in HOOKS.items()}
    for name in vars(cls):
        if name.startswith("_") or name in {*HOOKS, "api_version", *get_annotations(cls)}:
            continue
        if name in renamed:
            raise TypeError(f"`{name}` is now called `{renamed[name]}`")
        question = did_you_mean(name, HOOKS)
        help = f"{question} Otherwise, " if question else ""
        raise TypeError(f"`{name}` is not a hook; {help}start the name of a helper with an underscore")


def _check_field(field: Field) -> None:
    """Raise `TypeError` for an invalid field."""
    if field.name in HOOKS:
        raise TypeError(f"`{field.name}` can't be the name of a field: it is a hook")
    if field.name in RESERVED:
        raise TypeError(f"`{field.name}` can't be the name of a field: it is reserved")
    if field.word in SPAN_WORDS:
        words = " and ".join(f"`{word}=`" for word in SPAN_WORDS)
        raise TypeError(f"`{field.name}` can't be the name of a field: {words} limit a trick to a part of the training")
    if not NAME.fullmatch(field.word):
        raise TypeError(f"`{field.name}` can't be the name of a field: a recipe can't write it")
    for dialect in field.dialects:
        if dialect not in DIALECTS:
            known = listing(DIALECTS)
            raise TypeError(f"`{field.name}` has a default for the unknown dialect `{dialect}`: use one of {known}")
    for value in (field.default, field.before, *field.dialects.values()):
        if value not in (REQUIRED, None) and not field.kind.holds(value):
            raise TypeError(f"the default of `{field.name}` must be {field.kind.expects}, not {value!r}")
    if not isinstance(field.kind.words, tuple) or len({*field.kind.words}) < len(field.kind.words):
        raise TypeError(f"the words of `{field.name}` must be a tuple of different words, not {field.kind.words!r}")
    for word in field.kind.words:
        if not NAME.fullmatch(word):
            raise TypeError(f"`{word}` can't be a word of `{field.name}`: a recipe can't write it")
    if not (isinstance(field.help, str) and field.help):
        raise TypeError(f"`{field.name}` needs a help text")


def _acts_by_step(made: type[Trick]) -> bool:
    """Whether all that a trick does, it does step by step, so that it can be limited to a part of a training."""
    own = {name for name in HOOKS if getattr(made, name) is not getattr(Trick, name)}
    acting = {name for name in own if HOOKS[name].spans}
    return bool(acting) and own <= {*acting, *REPORTING}


def _check_slots(made: type[Trick]) -> None:
    """Raise `TypeError` for a hook of which a plan uses only one, but whose slot the trick doesn't write."""
    for name, hook in HOOKS.items():
        own = getattr(made, name) is not getattr(Trick, name)
        if own and hook.slots and {*hook.slots} <= EXCLUSIVE.keys() and not {*hook.slots} & {*made.declared.writes}:
            raise TypeError(f"the hook `{name}` needs `writes=({hook.slots[0]!r},)`".replace("'", '"'))


def _check_arguments(made: type[Trick]) -> None:
    """Raise `TypeError` for a hook that does not take the arguments that it is called with."""
    for name in HOOKS:
        own, stub = getattr_static(made, name), getattr(Trick, name)
        if own is stub or not isfunction(own):
            continue
        wanted = [*signature(stub).parameters]
        try:
            signature(own).bind(*wanted)
        except TypeError:
            why = f"the hook `{name}` is called with ({', '.join(wanted[1:])}), which it doesn't take"
            raise TypeError(why) from None


def _check_metrics(made: type[Trick]) -> None:
    """Raise `TypeError` for a trick that has metrics without their names, or the reverse."""
    pair = ("metrics", "metric_modes")
    own = [name for name in pair if getattr(made, name) is not getattr(Trick, name)]
    if len(own) == 1:
        (other,) = {*pair} - {*own}
        raise TypeError(f"the hook `{own[0]}` needs the hook `{other}`")


def _check_images(made: type[Trick], fields: Sequence[Field]) -> None:
    """Raise `TypeError` for a trick that opens images and lacks a field for them, or has one of another meaning."""
    whole = {field.name for field in fields if isinstance(field.kind, Number) and field.kind.whole}
    for name in REQUIRED_OF_IMAGES:
        if made.open is not Trick.open and name not in whole:
            raise TypeError(f"it opens images, so it needs the field `{name}: int = integer(…)`")
    for field in fields if made.open is not Trick.open else ():
        known = APPEARANCE.get(field.name)
        if known is not None and not {*field.kind.words} <= {*known}:
            raise TypeError(f"`{field.name}` of a trick that opens images takes some of {listing(known)}")


def _own_fields(cls: type) -> Iterator[str]:
    """Return the names of the fields that a class itself declares and that attrs has not processed yet."""
    return (name for name, value in vars(cls).items() if "recipe" in getattr(value, "metadata", ()))


def _fields(made: type[Any]) -> Iterator[Field]:
    for attribute in attrs.fields(made):
        if "recipe" not in attribute.metadata:
            functions = ", ".join(f"{function.__name__}()" for function in FIELDS)
            raise TypeError(f"declare `{attribute.name}` with one of {functions}")
        yield attrs.evolve(attribute.metadata["recipe"], name=attribute.name)


@dataclass_transform(
    frozen_default=True,
    kw_only_default=True,
    field_specifiers=(
        number,
        integer,
        numbers,
        choice,
        path,
        architecture,
        teacher,
        metric,
        address,
        share_or_path,
        text,
    ),
)
def trick(
    word: str,
    *,
    position: float = inf,
    reads: tuple[str, ...] = (),
    writes: tuple[str, ...] = ("run",),
    after: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    excludes: tuple[str, ...] = (),
    result: bool = True,
    formerly: str | None = None,
    implied: bool = False,
    known_as: Mapping[str, str] | tuple[str, ...] = (),
    similar_to: tuple[str, ...] = (),
) -> Callable[[T], T]:
    """Declare a trick: its words (``verb`` or ``verb clause``) and what it reads, writes, follows, needs and excludes.

    ``position`` is the place of its verb in the reading order. All tricks of a verb share it. It only applies to
    built-in verbs. The verbs of other packages follow, sorted by name. ``result=False`` declares that the trick can't
    change the result of a training, so that a plan with it has the same digest as one without. ``formerly`` is the verb
    that alone stood for the trick in earlier releases. Locks may still have it, and it counts in digests.
    ``implied=True`` declares that a suggestion for one of its fields adds it to a recipe.

    ``known_as`` has other names that people use for the trick, which `recipe tricks --search` finds and errors explain.
    In a mapping, each name has what a recipe writes after the trick's words: ``{"amp": "fp16"}``. A value that follows
    the name follows an equal sign at the end: ``{"crop-pct": "crop="}``. ``similar_to`` has names of tricks that don't
    exist, and that this one can stand in for.

    Raises `TypeError` with the reason if the class is not a valid trick.
    """
    relations = reads, writes, after, needs, excludes
    declared = Declared(
        word,
        *relations,
        position=position,
        result=result,
        formerly=formerly,
        implied=implied,
        known_as=known_as,
        similar_to=similar_to,
    )

    def declare(cls: T) -> T:
        try:
            _check_class(cls, declared)
            made = attrs.frozen(kw_only=True, eq=True)(cls)
            fields = tuple(_fields(made))
            for field in fields:
                _check_field(field)
            _check_images(made, fields)
            if twice := [word for word, count in Counter(field.word for field in fields).items() if count > 1]:
                raise TypeError(f"a recipe can't tell two fields apart that are both written `{twice[0]}`")
            made.declared = attrs.evolve(declared, fields=fields, spans=_acts_by_step(made))
            if made.declared.spans and (former := [field for field in fields if field.formerly in SPAN_WORDS]):
                word_ = former[0].formerly
                raise TypeError(f"`{word_}` can't be a former name of `{former[0].name}`: here, it limits the trick")
            _check_slots(made)
            _check_arguments(made)
            _check_metrics(made)
        except TypeError as error:
            raise TypeError(f"trick `{word}`: {error}") from None
        return made

    return declare
