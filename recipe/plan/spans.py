"""Check spans, the parts of a training to which a recipe limits tricks: which tricks, and with which effect."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.source import Span
from recipe.base.wording import listing, plural
from recipe.language.ast import Item
from recipe.plan.plan import Plan
from recipe.plugins.declared import Declared
from recipe.plugins.during import FROM, SPAN_WORDS, UNTIL
from recipe.plugins.vocabulary import Vocabulary, words_of


def refused(word: str, item: Item, vocabulary: Vocabulary) -> RecipeError:
    """Return the error for a span of a trick that does not act step by step."""
    assert item.name is not None
    message = f"`{word}` has no field `{item.name.text}`, and can't be limited to a part of the training"
    ways = " and ".join(f"`{name}=`" for name in SPAN_WORDS)
    able = [*_able(vocabulary)]
    help = f"{ways} are for tricks that act step by step: {listing(able, most=len(able))}"
    return fail("E022", message, item.name.span, help=help)


def _able(vocabulary: Vocabulary) -> Iterator[str]:
    """Yield the built-in tricks that can have a span, or their verb if all of its tricks can."""
    keys = [key for key in vocabulary.keys() if vocabulary.is_ours(key)]  # noqa: SIM118
    for verb in dict.fromkeys(verb for verb, _ in keys):
        tricks = [key for key in keys if key[0] == verb]
        able = list[str]()
        for key in tricks:
            with contextlib.suppress(RecipeError):  # a broken trick is reported where a recipe uses it
                able += [words_of(key)] if vocabulary.load(*key).declared.spans else []
        yield from [verb] if len(able) == len(tricks) else able


def check_order(declared: Declared, given: Mapping[str, tuple[Any, Span]]) -> None:
    """Raise `RecipeError` (E024) if a span ends before it begins, both in the same unit."""
    if FROM.name not in given or UNTIL.name not in given:
        return
    (begin, start), (end, stop) = given[FROM.name], given[UNTIL.name]
    if begin.percent == end.percent and end.number <= begin.number:
        message = f"`{UNTIL.word}={end}` of `{declared.word}` is not after `{FROM.word}={begin}`"
        raise fail("E024", message, stop, others=((start, "it starts here"),), help="it must end after it starts")


def without_effect(plan: Plan) -> list[Diagnostic]:
    """Return warnings about spans that begin or end outside of the training, or that end before they begin."""
    epochs, warnings = plan.training.epochs, list[Diagnostic]()
    training = f"the training has {plural(epochs, 'epoch')}"
    for use in plan.uses:
        begin, end = use.during.from_, use.during.until
        if begin is not None and begin.epoch(epochs) >= epochs:
            message = f"`{use.word}` has no effect: it starts at `{FROM.word}={begin}`, and {training}"
            warnings.append(Diagnostic("W001", message, use.place(FROM.name)))
        elif begin is not None and end is not None and end.epoch(epochs) <= begin.epoch(epochs):
            why = f"`{UNTIL.word}={end}` is not after `{FROM.word}={begin}`, since {training}"
            warnings.append(Diagnostic("W001", f"`{use.word}` has no effect: {why}", use.place(UNTIL.name)))
        elif end is not None and end.epoch(epochs) > epochs:
            message = f"`{UNTIL.word}={end}` of `{use.word}` has no effect: {training}"
            warnings.append(Diagnostic("W001", message, use.place(UNTIL.name)))
    return warnings
