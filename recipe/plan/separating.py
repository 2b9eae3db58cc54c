"""Verbs in the middle of a statement, before which a separator is missing: ``base resnet18 epochs 3``."""

from __future__ import annotations

from contextlib import suppress

from recipe.base.errors import RecipeError, fail
from recipe.language.ast import Item, Statement
from recipe.plugins.declared import Declared
from recipe.plugins.vocabulary import Vocabulary


def check_separated(statement: Statement, vocabulary: Vocabulary) -> None:
    """Raise `RecipeError` (E026) if an item of a statement is a verb, so that the items after it are of another one."""
    starts = _starts(statement, vocabulary)
    if not starts:
        return
    first, span, text = starts[0], statement.span, statement.span.text
    for item in reversed(starts):
        at = item.span.start - span.start
        text = f"{text[:at].rstrip()}; {text[at:]}"
    message = f"unexpected `{first.value.text}` in the middle of a statement: it is a verb"
    raise fail("E026", message, first.span, help=f"put `;` before a verb: `{text}`")


def _starts(statement: Statement, vocabulary: Vocabulary) -> list[Item]:
    """Return the items that start another statement: verbs that are no clauses and no words of a field."""
    verb, found = statement.verb.text, list[Item]()
    clause: str | None = None
    for item in statement.items:
        if item.name is not None or item.value.kind != "name":
            continue
        word = item.value.text
        if word in vocabulary.clauses(verb):
            clause = word
        elif word in vocabulary.verbs() and not _takes(_declared(verb, clause, vocabulary), word):
            verb, clause = word, None
            found.append(item)
    return found


def _declared(verb: str, clause: str | None, vocabulary: Vocabulary) -> Declared | None:
    with suppress(RecipeError, KeyError):  # a directive, a verb without a trick of its own, or a broken trick
        return vocabulary.declared(verb, clause)
    return None


def _takes(declared: Declared | None, word: str) -> bool:
    return declared is not None and declared.taking(word) is not None
