"""What differs between two plans, word by word, each value with its origin on both sides. Needs no torch."""

from __future__ import annotations

import attrs

from recipe.plan.plan import Plan
from recipe.plugins.uses import Use

NOTHING = "–"

SIGNS = {"added": "+", "removed": "-", "changed": "~"}
"""The sign of each kind of change, as lines begin with it."""


@attrs.frozen
class ValueChange:
    """A field whose value differs, as recipes write it, with where it comes from on both sides."""

    field: str
    before: str
    after: str
    origin_before: str
    origin_after: str


@attrs.frozen
class WordChange:
    """A trick that one plan has and the other has not, or has with other values.

    ``change`` is ``added``, ``removed`` or ``changed``; ``statement`` states an added or removed trick, ``origin`` says
    where it comes from.
    """

    word: str
    change: str
    statement: str = ""
    origin: str = ""
    values: tuple[ValueChange, ...] = ()

    def lines(self) -> list[tuple[str, str]]:
        """The change in words, a line each: what it is, and where it comes from."""
        if self.change != "changed":
            return [(self.statement, self.origin)]
        changes = [f"{self.word} {value.field} {value.before} → {value.after}" for value in self.values]
        origins = [value.origin_before and f"{value.origin_before} → {value.origin_after}" for value in self.values]
        return [*zip(changes, origins, strict=True)]


def compare_words(a: Plan, b: Plan) -> tuple[WordChange, ...]:
    """Every trick that differs, in reading order; the dialect counts as one."""
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
    for field in a.declared.fields:
        before, after = getattr(a.trick, field.name), getattr(b.trick, field.name)
        identities = [None if value is None else field.kind.identity(value) for value in (before, after)]
        if identities[0] == identities[1]:
            continue
        old, new = (NOTHING if value is None else field.kind.write(value) for value in (before, after))
        changes.append(ValueChange(field.word, old, new, str(a.origins[field.name]), str(b.origins[field.name])))
    return tuple(changes)


def reordered(a: Plan, b: Plan) -> tuple[tuple[str, str], ...]:
    """Pairs of tricks that both plans have, in another order, where the order means something: they share a slot.

    A pair (x, y) is applied in this order in ``a`` and the other way round in ``b``.
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
