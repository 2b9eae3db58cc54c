"""What recipes write for a word that people use: a trick by another name, a value, a field, or a similar trick."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import Literal

import attrs

from recipe.base.wording import edits, nearest
from recipe.plan.unsupported import plain
from recipe.plugins.declared import Declared
from recipe.plugins.vocabulary import Vocabulary

SHORTEST = 4
"""Characters of the shortest word whose spelling is compared with that of all names."""

How = Literal["name", "value", "field", "similar", "spelling"]
"""How a word relates to a trick, closest meaning first."""


@attrs.frozen
class Meaning:
    """A trick that a word stands for, and what a recipe writes after the trick's words."""

    declared: Declared
    rest: str = ""


@attrs.frozen
class Meanings:
    """What a word stands for, and how a statement says it."""

    how: How
    said: str
    """The word, or the two words, that have these meanings."""
    tricks: tuple[str, ...]
    """The words of the tricks."""
    statement: str
    """What to write: ``augment erase 0.25``. An ellipsis stands for what the reader has to add."""


def meanings(word: str, vocabulary: Vocabulary, after: str = "") -> Meanings | None:
    """Return what a word stands for, or None. ``after`` is the rest of its statement, which may belong to the name."""
    first, _, rest = after.strip().partition(" ")
    for how, known in _index(vocabulary).items():
        for said, left in ((f"{word} {first}", rest), (word, after.strip())):
            if found := known.get(plain(said)):
                return _said(how, said.strip(), found, left.strip(), vocabulary)
    return None


def spelled_like(word: str, vocabulary: Vocabulary, after: str = "") -> Meanings | None:
    """Return what the name that is spelled like a word stands for, or None."""
    names = _index(vocabulary)["name"]
    near = nearest(plain(word), names) if len(word) >= SHORTEST else None
    if near is None or edits(plain(word), near) > 1:  # there are many names, so that more letters differ by chance
        return None
    return _said("spelling", word, names[near], after.strip(), vocabulary)


@lru_cache(maxsize=4)
def _index(vocabulary: Vocabulary) -> dict[How, dict[str, list[Meaning]]]:
    """Return the meanings of plain words, closest first. Tricks that can't be loaded have none."""
    names, values, fields, similar = (defaultdict[str, list[Meaning]](list) for _ in range(4))
    for declared in vocabulary.all_declared():
        for name in (declared.word, declared.clause or declared.verb):
            names[plain(name)].append(Meaning(declared))
        for name, rest in declared.known_as.items():
            names[plain(name)].append(Meaning(declared, rest))
        for value in declared.fields[0].kind.words if declared.fields else ():
            values[plain(value)].append(Meaning(declared, value))
        for field in declared.fields:
            fields[plain(field.word)].append(Meaning(declared, f"{field.word}="))
        for name in declared.similar_to:
            similar[plain(name)].append(Meaning(declared))
    return {"name": dict(names), "field": dict(fields), "value": dict(values), "similar": dict(similar)}


def _said(how: How, said: str, found: list[Meaning], after: str, vocabulary: Vocabulary) -> Meanings:
    declared, rest = found[0].declared, found[0].rest
    tricks = tuple(dict.fromkeys(one.declared.word for one in found))
    named = rest.endswith("=")
    others = (field for field in declared.fields if not rest.startswith(f"{field.word}="))
    others = (field for field in declared.fields if not rest.startswith(f"{field.word}="))
    left_out = len(tricks) > 1 or ("=" in rest and any(field.required for field in others))
    words = declared.verb if len(tricks) > 1 else declared.word
    if how == "similar" or (rest and not named) or not _fits(after, declared, named, vocabulary):
        after = ""
    written = f"{words} …" if left_out and rest else words
    parts = [written, f"{rest}{after or '…'}"] if named else [written, rest, after]
    return Meanings(how, said, tricks, " ".join(filter(None, parts)))


def _fits(after: str, declared: Declared, named: bool, vocabulary: Vocabulary) -> bool:
    """Whether what follows a word in a statement can follow the words of a trick or the name of its field."""
    word = after.split(maxsplit=1)[0] if after else ""
    if not word[:1].isalpha():
        return True
    takes = declared.fields[0].kind.takes_name(word) if declared.fields else False
    return named or takes or word in vocabulary.clauses(declared.verb)
