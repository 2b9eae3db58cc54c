"""The order in which tricks apply, the clashes between them, and the settings that they make in this order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import attrs

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError, fail
from recipe.base.wording import did_you_mean, listing, nearest
from recipe.plugins.calling import broken, call_hook
from recipe.plugins.settings import KINDS, Training
from recipe.plugins.slots import EXCLUSIVE
from recipe.plugins.uses import Use


def clashes(uses: Sequence[Use], known: Collection[str] = ()) -> list[Diagnostic]:
    """Pairs that write one exclusive slot or exclude each other; and unmet needs. ``known`` words are registered."""
    problems = []
    present = {use.word for use in uses}
    for index, use in enumerate(uses):
        for other in uses[:index]:
            slots = sorted(set(use.declared.writes) & set(other.declared.writes) & EXCLUSIVE.keys())
            excluded = other.word in use.declared.excludes or use.word in other.declared.excludes
            if slots or excluded:
                why = f"both decide {EXCLUSIVE[slots[0]]}" if slots else "one excludes the other"
                problems.append(_clash(other, use, why))
        for need in use.declared.needs:
            if need not in present:
                message, help = f"`{use.word}` needs `{need}`", f"add `{need}`"
                if known and need not in known:
                    near = nearest(need, known)
                    message += f", which no package registers; `{use.word}` is of {use.declared.package}"
                    help = f"its author may have meant `{near}`" if near else ""
                problems.append(Diagnostic("E031", message, use.span, help=help))
    return problems


def _clash(lower: Use, upper: Use, why: str, help: str = "") -> Diagnostic:
    """Two tricks that can't stand together; ``upper`` is of the same layer or of a later one."""
    first, second, usual = _in_order(lower, upper)
    message = f"`{first.word}` and `{second.word}` clash: {why}"
    if first.declared.package != second.declared.package:
        message += f" (`{first.word}` is of {first.declared.package}, `{second.word}` of {second.declared.package})"
    places = ((first.span, f"`{first.word}` is here"),) if first.span else ()
    return Diagnostic("E030", message, second.span, others=places, help=help or usual)


def _in_order(lower: Use, upper: Use) -> tuple[Use, Use, str]:
    """Two tricks that clash as they are written, and what to do."""
    if lower.span and upper.span and lower.span.source == upper.span.source:
        first, second = (lower, upper) if lower.span.start < upper.span.start else (upper, lower)
        return first, second, "leave one out"
    if upper.span is None and lower.span is not None:  # what a dialect implies lies under all that is written
        lower, upper = upper, lower
    drop = f", or write `drop {lower.word}` beside it" if lower.span else ""
    return lower, upper, f"leave out `{upper.word}`{drop}"


def reasons(uses: Sequence[Use]) -> dict[str, list[str]]:
    """Why each trick comes where it does: the tricks it waits for, as it declares or by the slots that it reads."""
    by_word: dict[str, list[str]] = {}
    for use in uses:
        for other in uses:
            slots = sorted(_read_of(use, other) - {"run"})
            if other.word in use.declared.after:
                by_word.setdefault(use.word, []).append(f"after `{other.word}`, as it declares")
            elif other.word != use.word and slots:
                why = f"after `{other.word}`, whose {' and '.join(slots)} it reads"
                by_word.setdefault(use.word, []).append(why)
    return by_word


def _read_of(use: Use, other: Use) -> set[str]:
    """The slots that a trick reads without writing them, and another one writes."""
    return (set(use.declared.reads) - set(use.declared.writes)) & set(other.declared.writes)


def _waits(uses: Collection[Use]) -> dict[str, set[str]]:
    """The tricks that each one waits for, by its own declaration."""
    return {
        use.word: {
            other.word
            for other in uses
            if other.word != use.word and (_read_of(use, other) or other.word in use.declared.after)
        }
        for use in uses
    }


def _followed(uses: Sequence[Use]) -> dict[str, set[str]]:
    """All that each trick comes after by declaration, its own or of those between; ``uses`` are in their order."""
    waits, earlier = _waits(uses), dict[str, set[str]]()
    for use in uses:
        earlier[use.word] = waits[use.word].union(*(earlier[word] for word in waits[use.word]))
    return earlier


def solve(uses: Iterable[Use]) -> tuple[Use, ...]:
    """The order in which tricks apply: who writes a slot comes before who reads it, then what `after` says.

    Where nothing is declared the reading order decides, so the result never depends on how a recipe is written.
    """
    rest = {use.word: use for use in sorted(uses, key=lambda use: use.declared.reading_key)}
    waits, order = _waits(rest.values()), list[Use]()
    while rest:
        ready = next((word for word in rest if not waits[word] & rest.keys()), None)
        if ready is None:
            stuck = [rest[word] for word in sorted(rest)]
            names = ", ".join(f"`{use.word}` (of {use.declared.package})" for use in stuck)
            places = tuple((use.span, f"`{use.word}`") for use in stuck[1:] if use.span)
            raise fail("E032", f"these want to come after one another: {names}", stuck[0].span, others=places)
        order.append(rest.pop(ready))
    return tuple(order)


def configured(uses: Sequence[Use]) -> tuple[Training, dict[str, list[Use]]]:
    """The training that tricks, in their order, configure, and which of them make each of its settings.

    Raises `RecipeError`: E030 for two that make the same setting and do not declare which of them has the last word,
    E080 for a setting that does not exist or a value of another kind.
    """
    training, earlier = Training(), _followed(uses)
    makers: dict[str, list[Use]] = {}
    errors = []
    for use in uses:
        if not use.trick.overrides("configure"):
            continue
        made = call_hook(use, "configure", training)
        for name in sorted(made, key=str):
            _check(use, name, made[name])
            for other in makers.get(name, ()):
                if other.word not in earlier[use.word]:
                    help = "leave one out; a trick that is to change what another sets declares so, as by "
                    help += f'`after=("{other.word}",)`'
                    errors.append(_clash(other, use, f"both set `{name}` of the training", help))
            makers.setdefault(name, []).append(use)
        training = attrs.evolve(training, **made)
    if errors:
        raise RecipeError(*errors)
    return training, makers


def _check(use: Use, name: Any, value: Any) -> None:
    """Raise `RecipeError` (E080) where a trick makes no setting of that name, or one of another kind."""
    if name not in KINDS:
        help = did_you_mean(str(name), KINDS, f"the settings are {listing(KINDS, most=len(KINDS))}")
        raise broken(use, "configure", f"no setting is named `{name}`", help=help)
    if not KINDS[name].holds(value):
        raise broken(use, "configure", f"the setting `{name}` is {KINDS[name].expects}, not {value!r:.60}")
