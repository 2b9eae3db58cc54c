"""Find tricks by their words, by other names that people use for them, or by what their descriptions say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from recipe.base.wording import summary_line
from recipe.explain.tricks import texts
from recipe.plan.unsupported import plain
from recipe.plugins.trick import Trick

SHORTEST = 4
"""Characters of the shortest word that stands for longer ones, as ``smooth`` does for ``smoothing``."""

SEPARATE = r"[^\W_]+"


def search(tricks: Iterable[type[Trick]], query: str) -> list[type[Trick]]:
    """Return the tricks that match all words of a query, best first.

    The words of a trick count most, then its other names, then its fields and their values, and then its description.
    """
    wanted = re.findall(SEPARATE, query.lower())
    scored = [(_score(trick, wanted), trick) for trick in tricks]
    found = [(score, trick) for score, trick in scored if score]
    return [trick for _, trick in sorted(found, key=lambda pair: (-pair[0], pair[1].declared.reading_key))]


def _score(trick: type[Trick], wanted: list[str]) -> float:
    """Return how well a trick matches words, or 0 if one of them has no match."""
    if not wanted:
        return 0
    fields = list(_fields(trick))
    names = [trick.declared.word, trick.declared.clause or trick.declared.verb]
    others = [*trick.declared.known_as, *trick.declared.similar_to]
    phrase = plain("".join(wanted))
    for score, known in ((10, names), (9, others), (8, fields)):
        if phrase in map(plain, known):
            return score
    places = [(7, names), (6, others), (3, fields), (2, [summary_line(trick)]), (1, texts(trick))]
    scores = [max(score * _part(word, known) for score, known in places) for word in wanted]
    return sum(scores) / len(scores) if all(scores) else 0


def _fields(trick: type[Trick]) -> Iterator[str]:
    for field in trick.declared.fields:
        yield field.word
        yield from field.kind.words if len(field.kind.words) < SHORTEST**2 else ()


def _part(word: str, known: Iterable[str]) -> float:
    """Return 1 if a word is in some texts, a bit less if a word there starts with most of it or the reverse, or 0."""
    words = {part for text in known for part in re.findall(SEPARATE, text.lower())}
    if word in words:
        return 1
    return 0.9 * any(_starts(word, other) or _starts(other, word) for other in words)


def _starts(start: str, word: str) -> bool:
    return len(start) >= max(SHORTEST, 0.6 * len(word)) and word.startswith(start)
