"""Merge layers into one set of tricks, and collect the values that tricks suggest for each other's unset fields.

Later layers replace and drop what earlier layers state. The dialect is below all layers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError
from recipe.base.source import Source, Span
from recipe.base.wording import did_you_mean, listing
from recipe.language.ast import Recipe, Statement
from recipe.language.overlays import Layer, Layers, dialect_recipe, images_recipe
from recipe.plan.meant import meant
from recipe.plan.resolve import ResolvedTrick, Suggestions
from recipe.plugins.calling import call_hook
from recipe.plugins.contexts import SuggestContext
from recipe.plugins.fields import Field
from recipe.plugins.kinds import InvalidValue, LazyValue
from recipe.plugins.slots import EXCLUSIVE, IMAGES
from recipe.plugins.trick import Trick
from recipe.plugins.vocabulary import DIRECTIVES, Key, Vocabulary, key_of, words_of


class Merged(dict[Key, ResolvedTrick]):
    """The tricks of a recipe by verb and clause."""

    def __init__(self) -> None:
        super().__init__()
        self.barred: dict[Key, Span] = {}
        """The tricks that no suggestion may add, and the ``drop`` of each."""
        self.idle: dict[Span, str] = {}
        """The ``drop`` statements without effect, and why."""

    @property
    def warnings(self) -> list[Diagnostic]:
        """A warning for each ``drop`` without effect, except those of a lock, for which nothing is suggested."""
        idle = [(drop, why) for drop, why in self.idle.items() if not drop.source.is_lock]
        return [Diagnostic("W001", f"`{drop.text}` has no effect: {why}", drop, help="remove it") for drop, why in idle]


Name = Callable[[Statement, Source], list[ResolvedTrick]]
"""Return the tricks that a statement of a source names, or none if it has errors, which are collected elsewhere."""


def merge(layers: Layers, vocabulary: Vocabulary, name: Name, *, data: bool) -> Merged:
    """Merge layers into one set of tricks, by verb and clause. Add errors to those of ``layers``.

    ``data`` adds the embedded dataset if no layer names one, as a run does.
    """
    merged = Merged()
    for layer in layers.layers:
        for statement in layer.drops:
            _drop(statement, merged, vocabulary, layers.errors)
        here = _said(layer, name, layers.errors)
        for key in [key for key in merged if any(_replaces(new, merged[key]) for new in here.values())]:
            del merged[key]
        merged.update(here)
        for key in here.keys() & merged.barred.keys():
            drop = merged.barred.pop(key)
            if drop.source is not layer.source:
                merged.idle.pop(drop, None)
            elif drop in merged.idle:
                merged.idle[drop] = f"the same layer states `{words_of(key)}`"
    _imply(dialect_recipe(layers.dialect), merged, name)
    if data:
        _imply(images_recipe(), merged, name)
    return merged


def _said(layer: Layer, name: Name, errors: list[Diagnostic]) -> Merged:
    """Return the tricks that one layer states, each once."""
    here = Merged()
    for statement in layer.statements:
        for new in name(statement, layer.source):
            if new.key in here:
                places = ((here[new.key].words, "first stated here"),)
                message = f"`{new.declared.word}` is stated twice"
                errors.append(Diagnostic("E028", message, new.words, places, "remove one"))
            here[new.key] = new
    return here


def _imply(recipe: Recipe, merged: Merged, name: Name) -> None:
    """Add a recipe's tricks below all layers, except those already stated or whose exclusive slot is taken."""
    for statement in recipe.statements:
        for implied in name(statement, recipe.source):
            if implied.key not in merged and not any(_decides_alike(stated, implied) for stated in merged.values()):
                merged[implied.key] = implied


def _decides_alike(stated: ResolvedTrick, implied: ResolvedTrick) -> bool:
    """Whether two tricks, whatever their verbs, write the same exclusive slot."""
    return bool({*stated.declared.writes} & {*implied.declared.writes} & EXCLUSIVE.keys())


def _replaces(new: ResolvedTrick, old: ResolvedTrick) -> bool:
    """Whether a later layer's trick replaces an earlier one: same words, or same verb and exclusive slot."""
    return new.key == old.key or (new.key[0] == old.key[0] and _decides_alike(new, old))


def _drop(drop: Statement, merged: Merged, vocabulary: Vocabulary, errors: list[Diagnostic]) -> None:
    """Remove the tricks that a layer drops. Report a drop that matches nothing in the layers below."""
    items = drop.items
    verb, clause = items[0].value.text, items[1].value.text if len(items) > 1 else None
    keys = [key for key in merged if key[0] == verb and clause in (None, key[1])]
    for key in keys:
        del merged[key]
    known = [*vocabulary.keys()]
    suggested = [key for key in known if key[0] == verb and clause in (None, key[1]) and _is_implied(key, vocabulary)]
    if suggested and not keys:
        dropped = merged.barred.keys() >= {*suggested}
        why = "no layer below states it and nothing suggests it"
        merged.idle[drop.span] = "it is dropped already" if dropped else why
    merged.barred = {**dict.fromkeys(suggested, drop.span), **merged.barred}
    if keys or suggested:
        return
    if verb not in vocabulary.verbs() - set(DIRECTIVES):
        help = meant(verb, vocabulary, vocabulary.verbs() - set(DIRECTIVES), before="drop ")
        errors.append(Diagnostic("E020", f"unknown verb `{verb}`", items[0].span, help=help))
    elif clause is not None and clause not in vocabulary.clauses(verb):
        help = meant(clause, vocabulary, vocabulary.clauses(verb), verb=verb, before="drop ")
        errors.append(Diagnostic("E021", f"`{verb}` has no clause `{clause}`", items[1].span, help=help))
    else:
        help = f"the layers below state {listing(map(words_of, merged))}" if merged else "there is no layer below"
        message = f"no layer below states `{' '.join(item.value.text for item in items)}`"
        errors.append(Diagnostic("E044", message, drop.span, help=help))


def suggestions(merged: Merged, vocabulary: Vocabulary, dialect: str, errors: list[Diagnostic]) -> Suggestions:
    """Return the values that tricks suggest. Invalid suggestions are added to ``errors`` as errors in those tricks.

    Nor may two tricks suggest different values for a field that the recipe leaves open, unless they conflict anyway. A
    suggestion for a trick that is declared as ``implied`` adds it to ``merged``. In the lock of a run, nothing is open.
    """
    suggested: dict[tuple[Key, str], tuple[Any, str]] = {}
    if all(resolved.source.is_lock for resolved in merged.values() if resolved.source.kind != "dialect"):
        return suggested
    makers: dict[tuple[Key, str], ResolvedTrick] = {}
    stated = (resolved for resolved in merged.values() if resolved.source.kind != "dialect")
    given = {resolved.declared.word: _given(resolved) for resolved in stated}
    continues_lock = any(resolved.source.is_lock for resolved in merged.values())
    context = SuggestContext(dialect, MappingProxyType(given), frozenset(map(words_of, merged.barred)), continues_lock)
    for resolved in sorted(merged.values(), key=lambda resolved: resolved.declared.word):
        if resolved.trick.suggest is Trick.suggest:
            continue
        use = resolved.fill(dialect, {})
        by = f"`{use.word} {use.first}`" if use.trick.overrides("build") else f"`{use.word}`"
        try:
            values = call_hook(use, "suggest", context)
        except RecipeError as error:
            errors += error.diagnostics
            continue
        for name, value in values.items():
            if not resolved.source.is_lock:
                _add_implied(str(name), by, resolved, merged, vocabulary)
            try:
                for key, field in _meant(str(name), merged, vocabulary):
                    if not field.kind.holds(value):
                        raise InvalidValue("E080", f"it takes {field.kind.expects}")
                    if field.name in merged[key].given or (resolved.source.is_lock and merged[key].source.is_lock):
                        continue
                    other, first = suggested.setdefault((key, field.name), (value, by))
                    maker = makers.setdefault((key, field.name), resolved)
                    alike = field.kind.identity(other) == field.kind.identity(value)
                    if not alike and not _decides_alike(maker, resolved):
                        raise InvalidValue("E080", f"{first} suggests {other!r}", "remove one, or state the value")
            except InvalidValue as wrong:
                message = f"{by} from {use.declared.package} suggests {value!r} for `{name}`: {wrong.message}"
                errors.append(Diagnostic(wrong.code, message, use.span, help=wrong.help))
    return suggested


def _add_implied(name: str, by: str, maker: ResolvedTrick, merged: Merged, vocabulary: Vocabulary) -> None:
    """Add the trick of a suggestion to a recipe that doesn't state it, if it declares that a suggestion does so.

    It replaces what the dialect has in its exclusive slot, and gives way to what the recipe states there.
    """
    key = key_of(name.rpartition(" ")[0])
    if key in merged.barred:
        merged.idle.pop(merged.barred[key], None)
    elif key not in merged and _is_implied(key, vocabulary):
        trick, declared = vocabulary.load(*key), vocabulary.declared(*key)
        source = Source(f"suggested by {by}", declared.word, maker.source.folder, "suggestion")
        new = ResolvedTrick(trick, declared, maker.words, {}, source)
        rivals = [other for other, resolved in merged.items() if _decides_alike(resolved, new)]
        if all(merged[other].source.kind == "dialect" for other in rivals):
            for other in rivals:
                del merged[other]
            merged[key] = new


def _is_implied(key: Key, vocabulary: Vocabulary) -> bool:
    """Whether a suggestion may add a trick to a recipe."""
    with contextlib.suppress(RecipeError):  # a broken trick only affects recipes that state it
        return vocabulary.has(*key) and vocabulary.declared(*key).implied
    return False


def _given(resolved: ResolvedTrick) -> Mapping[str, Any]:
    """Return the values that a statement gives, by field, except lazy ones."""
    fields = [field for field in resolved.declared.fields if field.name in resolved.given]
    values = {field.word: resolved.given[field.name][0] for field in fields}
    return MappingProxyType({word: value for word, value in values.items() if not isinstance(value, LazyValue)})


def _meant(name: str, merged: Merged, vocabulary: Vocabulary) -> Iterator[tuple[Key, Field]]:
    """Yield the fields that a suggestion names by the words of a trick and the name of its field.

    A verb that isn't itself a trick stands for all its clauses, and the images slot for any trick that opens images.
    Tricks that the recipe doesn't use are not imported, so errors in their fields are only reported once it does.
    """
    words, _, word = name.rpartition(" ")
    verb, clause = key_of(words)
    if vocabulary.has(verb, clause):
        keys = [key for key in merged if key == (verb, clause)]
    elif clause is None and vocabulary.clauses(verb):
        opening = [key for key in merged if verb == IMAGES and merged[key].trick.open is not Trick.open]
        keys = [key for key in merged if key[0] == verb or key in opening]
    else:
        otherwise = 'name a suggestion by trick and field, as in "lr warmup epochs"'
        help = did_you_mean(words, map(words_of, vocabulary.keys()), otherwise, form=lambda near: f"`{near} {word}`")
        raise InvalidValue("E080", f"unknown trick `{words}`" if words else "it names no trick", help)
    for key in keys:
        fields = {field.word: field for field in merged[key].declared.fields}
        if word not in fields:
            otherwise = f"its fields are {listing(fields)}" if fields else ""
            help = did_you_mean(word, fields, otherwise, form=lambda near: f"`{words} {near}`")
            raise InvalidValue("E080", f"`{words_of(key)}` has no field `{word}`", help)
        yield key, fields[word]
