"""The differences between two plans, trick by trick, with the origins of their values. Works without torch."""

from __future__ import annotations

import attrs

from recipe.plan.plan import Plan
from recipe.plugins.during import SPAN
from recipe.plugins.uses import Use

NOTHING = "–"

SIGNS = {"added": "+", "removed": "-", "changed": "~"}
"""The sign that starts each line of a kind of change."""


@attrs.frozen
class ValueChange:
    """A field whose value differs: both values, as recipes write them, and their origins."""

    field: str
    before: str
    after: str
    origin_before: str
    origin_after: str


@attrs.frozen
class WordChange:
    """A trick that only one of two plans has, or that has different values in each.

    ``change`` is ``added``, ``removed`` or ``changed``. An added or removed trick has a ``statement`` and its
    ``origin``.
    """

    word: str
    change: str
    statement: str = ""
    origin: str = ""
    values: tuple[ValueChange, ...] = ()

    def lines(self) -> list[tuple[str, str]]:
        """Return the lines that describe the change, each with its origin."""
        if self.change != "changed":
            return [(self.statement, self.origin)]
        changes = [f"{self.word} {value.field} {value.before} → {value.after}" for value in self.values]
        origins = [value.origin_before and f"{value.origin_before} → {value.origin_after}" for value in self.values]
        return [*zip(changes, origins, strict=True)]


def compare_words(a: Plan, b: Plan) -> tuple[WordChange, ...]:
    """Return every trick that differs, in reading order. The dialect counts as a trick."""
    changes = []
    if a.dialect != b.dialect:
        value = ValueChange("name", a.dialect, b.dialect, "", "")
        changes.append(WordChange("dialect", "changed", values=(value,)))
    mine, theirs = ({use.word: use for use in plan.uses} for plan in (a, b))
    either = {**mine, **theirs}
    for word in sorted(either, key=lambda word: either[word].declared.reading_key):
        if word not in theirs:
            changes.append(WordChange(word, "removed", mine[word].statement(), str(mine[word].origin)))
        elif word not in mine:
            changes.append(WordChange(word, "added", theirs[word].statement(), str(theirs[word].origin)))
        elif values := _values(mine[word], theirs[word]):
            changes.append(WordChange(word, "changed", values=values))
    return tuple(changes)


def _values(a: Use, b: Use) -> tuple[ValueChange, ...]:
    changes = []
    for field in (*a.declared.fields, *SPAN):
        before, after = a.value(field), b.value(field)
        identities = [None if value is None else field.kind.identity(value) for value in (before, after)]
        if identities[0] == identities[1]:
            continue
        old, new = (NOTHING if value is None else field.kind.write(value) for value in (before, after))
        changes.append(ValueChange(field.word, old, new, a.origin_of(field), b.origin_of(field)))
    return tuple(changes)


def reordered(a: Plan, b: Plan) -> tuple[tuple[str, str], ...]:
    """Return the pairs of tricks that share a slot and that the two plans apply in a different order.

    For each pair (x, y), ``a`` applies x first and ``b`` applies y first.
    """
    place = {use.word: index for index, use in enumerate(b.uses)}
    common = [use for use in a.uses if use.word in place]
    return tuple(
        (first.word, second.word)
        for index, first in enumerate(common)
        for second in common[index + 1 :]
        if place[first.word] > place[second.word] and _share(first, second)
    )


def _share(first: Use, second: Use) -> bool:
    a, b = first.declared, second.declared
    shared = {*a.writes} & {*b.reads, *b.writes} | {*b.writes} & {*a.reads}
    return bool(shared - {"run"})
