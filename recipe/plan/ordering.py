"""The order in which tricks apply and the clashes between them, solved from the slots that they declare."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import fail
from recipe.base.wording import nearest
from recipe.plugins.slots import EXCLUSIVE

if TYPE_CHECKING:
    from recipe.plugins.uses import Use


def clashes(uses: Sequence[Use], known: Collection[str] = ()) -> list[Diagnostic]:
    """Pairs that write one exclusive slot, or of which one excludes the other; and unmet needs.

    ``known`` are the words that are registered.
    """
    found = []
    present = {use.word for use in uses}
    for index, use in enumerate(uses):
        for other in uses[:index]:
            slots = sorted(set(use.declared.writes) & set(other.declared.writes) & EXCLUSIVE.keys())
            excluded = other.word in use.declared.excludes or use.word in other.declared.excludes
            if slots or excluded:
                why = f"both decide {EXCLUSIVE[slots[0]]}" if slots else "one excludes the other"
                found.append(clash(other, use, why))
        for need in use.declared.needs:
            if need not in present:
                message, help = f"`{use.word}` needs `{need}`", f"add `{need}`"
                if known and need not in known:
                    near = nearest(need, known)
                    message += f", which no package registers; `{use.word}` is of {use.declared.package}"
                    help = f"its author may have meant `{near}`" if near else ""
                found.append(Diagnostic("E031", message, use.span, help=help))
    return found


def clash(lower: Use, upper: Use, why: str) -> Diagnostic:
    """Two tricks that can't stand together; ``upper`` is of the same layer or of a later one."""
    first, second, help = _in_order(lower, upper)
    message = f"`{first.word}` and `{second.word}` clash: {why}{_packages(first, second)}"
    places = ((first.span, f"`{first.word}` is here"),) if first.span else ()
    return Diagnostic("E030", message, second.span, others=places, help=help)


def _in_order(lower: Use, upper: Use) -> tuple[Use, Use, str]:
    """Two tricks that clash as they are written, and what to do."""
    if lower.span and upper.span and lower.span.source == upper.span.source:
        first, second = (lower, upper) if lower.span.start < upper.span.start else (upper, lower)
        return first, second, "leave one out"
    if upper.span is None and lower.span is not None:  # what a dialect implies lies under all that is written
        lower, upper = upper, lower
    drop = f", or write `drop {lower.word}` beside it" if lower.span else ""
    return lower, upper, f"leave out `{upper.word}`{drop}"


def _packages(first: Use, second: Use) -> str:
    if first.declared.package == second.declared.package:
        return ""
    return f" (`{first.word}` is of {first.declared.package}, `{second.word}` of {second.declared.package})"


def reasons(uses: Sequence[Use]) -> dict[str, list[str]]:
    """Why each trick comes where it does: the tricks it waits for, as it declares or by the slots that it reads."""
    found: dict[str, list[str]] = {}
    for use in uses:
        said = []
        for other in uses:
            slots = sorted((set(use.declared.reads) - {*use.declared.writes, "run"}) & set(other.declared.writes))
            if other.word in use.declared.after:
                said.append(f"after `{other.word}`, as it declares")
            elif other.word != use.word and slots:
                said.append(f"after `{other.word}`, whose {' and '.join(slots)} it reads")
        if said:
            found[use.word] = said
    return found


def _waits(uses: Collection[Use]) -> dict[str, set[str]]:
    """The tricks that each one waits for, by its own declaration."""
    found: dict[str, set[str]] = {use.word: set() for use in uses}
    for use in uses:
        for other in uses:
            reads = set(use.declared.reads) - set(use.declared.writes)
            if other.word != use.word and (reads & set(other.declared.writes) or other.word in use.declared.after):
                found[use.word].add(other.word)
    return found


def followed(uses: Sequence[Use]) -> dict[str, set[str]]:
    """All that each trick comes after by declaration, its own or of those between; ``uses`` are in their order."""
    waits, found = _waits(uses), dict[str, set[str]]()
    for use in uses:
        found[use.word] = waits[use.word].union(*(found[word] for word in waits[use.word]))
    return found


def solve(uses: Iterable[Use]) -> tuple[Use, ...]:
    """The order in which tricks apply: who writes a slot comes before who reads it, then what `after` says.

    Where nothing is declared the reading order decides, so the result never depends on how a recipe is written.
    """
    by_word = {use.word: use for use in uses}
    before = _waits(by_word.values())
    ready = [(by_word[word].declared.reading_key, word) for word, waits in before.items() if not waits]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        _, word = heapq.heappop(ready)
        order.append(word)
        for later, waits in before.items():
            if word in waits:
                waits.discard(word)
                if not waits:
                    heapq.heappush(ready, (by_word[later].declared.reading_key, later))
    if len(order) < len(by_word):
        stuck = [by_word[word] for word in sorted(set(by_word) - set(order))]
        names = ", ".join(f"`{use.word}` (of {use.declared.package})" for use in stuck)
        places = tuple((use.span, f"`{use.word}`") for use in stuck[1:] if use.span)
        raise fail("E032", f"these want to come after one another: {names}", stuck[0].span, others=places)
    return tuple(by_word[word] for word in order)
