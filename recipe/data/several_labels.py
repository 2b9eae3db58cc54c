"""Whether the labels of a list are several labels in one text. Needs no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain, combinations

import attrs

SEPARATORS = ("|", ";", ",")
"""What separates the labels of an image, if it has several. Blanks don't: names have some, too."""

Parts = tuple[str, ...]
"""What is between the separators of a label."""


@attrs.frozen
class Several:
    """The labels that consist of several ones."""

    certain: frozenset[str]
    possible: frozenset[str]
    """Those of which each word or part is also a label. They may be names, as `apple pie` is next to `apple`."""


def several(labels: Iterable[str]) -> Several:
    """Find the labels that consist of several ones.

    A text in brackets is certain. So are texts with a separator whose parts all occur elsewhere, but only if the same
    parts are combined freely: at other places among as many, or two of them alone, together, and together with more.
    Names such as `Acer rubrum, leaf` and `Acer rubrum, bark` combine them in one way.

    >>> sorted(several(["cat|dog", "dog|owl", "owl|cat", "owl"]).certain)
    ['cat|dog', 'dog|owl', 'owl|cat']
    >>> several(["rust, leaf", "rust, bark", "oak, leaf", "oak, bark"]).certain
    frozenset()
    """
    labels = {*labels}
    certain = {label for label in labels if label.startswith("[") and label.endswith("]")}
    possible = {label for label in labels if len(words := label.split()) > 1 and labels.issuperset(words)}
    for separator in SEPARATORS:
        split = {label: (*map(str.strip, label.split(separator)),) for label in labels if separator in label}
        possible |= {label for label, parts in split.items() if labels.issuperset(parts)}
        certain |= _combined(labels, split)
    return Several(frozenset(certain), frozenset(possible - certain))


def _combined(labels: set[str], split: Mapping[str, Parts]) -> set[str]:
    """Return the labels whose parts are combined freely."""
    times = Counter(chain.from_iterable({*parts} for parts in split.values()))
    known = {
        label: parts
        for label, parts in split.items()
        if len({*parts}) == len(parts) and all(part in labels or times[part] > 1 for part in parts)
    }
    places = dict[tuple[str, int], set[int]]()
    for parts in known.values():
        for place, part in enumerate(parts):
            places.setdefault((part, len(parts)), set()).add(place)
    if any(len(each) > 1 for each in places.values()):
        return {*known}
    together = dict[tuple[str, ...], set[int]]()
    for parts in split.values():
        for pair in combinations(sorted({*parts} & labels), 2):
            together.setdefault(pair, set()).add(len(parts))
    free = [{*pair} for pair, counts in together.items() if len(counts) > 1]
    return {label for label, parts in split.items() if any(pair <= {*parts} for pair in free)}
