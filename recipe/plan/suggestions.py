"""What the tricks of a recipe suggest for fields that it leaves open."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

from recipe.base.diagnostics import Diagnostic
from recipe.base.wording import did_you_mean, listing
from recipe.plan.merge import Merged
from recipe.plan.resolve import ResolvedTrick, Suggestions
from recipe.plugins.calling import call_hook
from recipe.plugins.fields import Field, LazyValue
from recipe.plugins.slots import IMAGES
from recipe.plugins.suggest_context import SuggestContext
from recipe.plugins.trick import Trick
from recipe.plugins.vocabulary import Key, Vocabulary, key_of, words_of


class _Unmeant(Exception):
    """A suggestion that is for no field; a message, and a help line."""

    def __init__(self, message: str, help: str = "") -> None:
        self.message, self.help = message, help


def suggestions(merged: Merged, vocabulary: Vocabulary, dialect: str) -> tuple[Suggestions, list[Diagnostic]]:
    """What tricks suggest, and what is wrong with it, which is the fault of the tricks that do."""
    found: dict[tuple[Key, str], tuple[Any, str]] = {}
    errors = []
    context = _context(merged, dialect)
    for _, one in sorted(merged.items(), key=lambda pair: words_of(pair[0])):
        if one.trick.suggest is Trick.suggest:
            continue
        use = one.fill(dialect, {})
        by = f"`{use.word} {use.first}`" if use.trick.overrides("build") else f"`{use.word}`"
        for name, value in call_hook(use, "suggest", context).items():
            try:
                for key, field in _meant(str(name), merged, vocabulary):
                    if not field.kind.holds(value):
                        raise _Unmeant(f"it takes {field.kind.expects}")
                    found[key, field.name] = (value, by)
            except _Unmeant as wrong:
                message = f"{by} of {use.declared.package} suggests {value!r} for `{name}`: {wrong.message}"
                errors.append(Diagnostic("E080", message, use.span, help=wrong.help))
    return found, errors


def _context(merged: Merged, dialect: str) -> SuggestContext:
    """What tricks may know of a recipe when they suggest."""
    stated = [one for one in merged.values() if one.source.kind != "dialect"]
    given = {one.trick.declared.word: MappingProxyType(_given(one)) for one in stated}
    return SuggestContext(dialect, MappingProxyType(given))


def _given(resolved: ResolvedTrick) -> dict[str, Any]:
    """The values that a statement gives, by field; what is worked out later is left out."""
    values = {field.word: resolved.given.get(field.name) for field in resolved.trick.declared.fields}
    return {word: pair[0] for word, pair in values.items() if pair and not isinstance(pair[0], LazyValue)}


def _meant(name: str, merged: Merged, vocabulary: Vocabulary) -> Iterator[tuple[Key, Field]]:
    """The fields of the recipe's tricks that a suggestion names by the words of a trick and of its field.

    A verb that is no trick of its own stands for each of its clauses, and the slot of the images for whatever opens
    them. Tricks that the recipe lacks are not imported for this: what is wrong with a field of theirs is told once they
    are there.
    """
    words, _, word = name.rpartition(" ")
    verb, clause = key_of(words)
    if vocabulary.has(verb, clause):
        keys = [key for key in merged if key == (verb, clause)]
    elif clause is None and vocabulary.clauses(verb):
        keys = [key for key, one in merged.items() if key[0] == verb or (verb == IMAGES and _opens(one.trick))]
    else:
        otherwise = 'suggestions are named as in "lr warmup epochs"'
        help = did_you_mean(words, map(words_of, vocabulary.keys()), otherwise, form=lambda near: f"`{near} {word}`")
        raise _Unmeant(f"there is no trick `{words}`" if words else "it names no trick", help)
    for key in keys:
        fields = {field.word: field for field in merged[key].trick.declared.fields}
        if word not in fields:
            otherwise = f"it has {listing(fields)}" if fields else ""
            help = did_you_mean(word, fields, otherwise, form=lambda near: f"`{words} {near}`")
            raise _Unmeant(f"`{words_of(key)}` has no field `{word}`", help)
        yield key, fields[word]


def _opens(trick: type[Trick]) -> bool:
    return trick.open is not Trick.open
