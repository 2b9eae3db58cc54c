"""Layers into one set of tricks: later layers replace and drop what earlier ones say, and a dialect lies below all."""

from __future__ import annotations

from collections.abc import Callable

from recipe.base.diagnostics import Diagnostic
from recipe.base.source import Source
from recipe.base.wording import did_you_mean, listing
from recipe.language.ast import Recipe, Statement
from recipe.language.overlays import Drop, Layer, Layers, dialect_recipe, images_recipe
from recipe.plan.resolve import ResolvedTrick
from recipe.plugins.slots import EXCLUSIVE
from recipe.plugins.vocabulary import DIRECTIVES, Key, Vocabulary, words_of

Merged = dict[Key, ResolvedTrick]

Name = Callable[[Statement, Source], list[ResolvedTrick]]
"""What gives the tricks that a statement of a source names, where it is sound; its errors are kept elsewhere."""


def merge(layers: Layers, vocabulary: Vocabulary, name: Name, *, data: bool) -> Merged:
    """The tricks that layers come to, by their words. What is wrong is added to the errors of the layers.

    ``data`` adds the embedded data set where no layer names one, as a run does.
    """
    merged: Merged = {}
    for layer in layers.layers:
        for drop in layer.drops:
            _drop(drop, merged, vocabulary, layers.errors)
        here = _said(layer, name, layers.errors)
        for key in [key for key in merged if any(_replaces(new, merged[key]) for new in here.values())]:
            del merged[key]
        merged |= here
    _imply(dialect_recipe(layers.dialect), merged, name)
    if data:
        _imply(images_recipe(), merged, name)
    return merged


def _said(layer: Layer, name: Name, errors: list[Diagnostic]) -> Merged:
    """What one layer says, each trick once."""
    here: Merged = {}
    for statement in layer.statements:
        for one in name(statement, layer.source):
            if one.key in here:
                places = ((here[one.key].words, "it is here"),)
                message = f"`{one.trick.declared.word}` is said twice"
                errors.append(Diagnostic("E028", message, one.words, "", places, "leave one out"))
            here[one.key] = one
    return here


def _imply(recipe: Recipe, merged: Merged, name: Name) -> None:
    """Put below all layers what a recipe says, but what is said already, or decided by something else."""
    for statement in recipe.statements:
        for one in name(statement, recipe.source):
            if one.key not in merged and not any(_decides_alike(other, one) for other in merged.values()):
                merged[one.key] = one


def _decides_alike(stated: ResolvedTrick, implied: ResolvedTrick) -> bool:
    """Whether what is stated, whatever its verb, decides what a dialect's statement would."""
    return bool({*stated.trick.declared.writes} & {*implied.trick.declared.writes} & EXCLUSIVE.keys())


def _replaces(new: ResolvedTrick, old: ResolvedTrick) -> bool:
    """Whether a later layer's trick replaces an earlier one's: the same words, or the same verb and exclusive slot."""
    return new.key == old.key or (new.key[0] == old.key[0] and _decides_alike(new, old))


def _drop(drop: Drop, merged: Merged, vocabulary: Vocabulary, errors: list[Diagnostic]) -> None:
    """Take out what a layer drops; of something that no layer below says, tell what they say."""
    keys = [key for key in merged if key[0] == drop.verb and drop.clause in (None, key[1])]
    for key in keys:
        del merged[key]
    if keys:
        return
    items = drop.statement.items
    if drop.verb not in vocabulary.verbs() - set(DIRECTIVES):
        help = did_you_mean(drop.verb, vocabulary.verbs() - set(DIRECTIVES))
        errors.append(Diagnostic("E020", f"there is no verb `{drop.verb}`", items[0].span, help=help))
    elif drop.clause is not None and drop.clause not in vocabulary.clauses(drop.verb):
        help = did_you_mean(drop.clause, vocabulary.clauses(drop.verb))
        errors.append(Diagnostic("E021", f"`{drop.verb}` does not know `{drop.clause}`", items[1].span, help=help))
    else:
        said = listing(map(words_of, merged))
        help = f"the layers below say {said}" if merged else "no layer lies below this one"
        message = f"no layer below says `{' '.join(item.value.text for item in items)}`"
        errors.append(Diagnostic("E044", message, drop.statement.span, help=help))
