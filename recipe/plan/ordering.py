"""The order in which tricks apply, the conflicts between them, and the training settings that they make."""

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


def conflicts(uses: Sequence[Use], known: Collection[str] = ()) -> list[Diagnostic]:
    """Return errors for pairs that write the same exclusive slot or exclude each other, and for unmet needs.

    ``known`` holds the registered words.
    """
    problems = []
    present = {use.word for use in uses}
    for index, use in enumerate(uses):
        for other in uses[:index]:
            slots = sorted(set(use.declared.writes) & set(other.declared.writes) & EXCLUSIVE.keys())
            excluded = other.word in use.declared.excludes or use.word in other.declared.excludes
            if slots or excluded:
                why = f"both set {EXCLUSIVE[slots[0]]}" if slots else "one excludes the other"
                problems.append(_conflict(other, use, why))
        for need in use.declared.needs:
            if need not in present:
                message, help = f"`{use.word}` needs `{need}`", f"add `{need}`"
                if known and need not in known:
                    near = nearest(need, known)
                    message += f", which no package registers; `{use.word}` is from {use.declared.package}"
                    help = f"its author may have meant `{near}`" if near else ""
                problems.append(Diagnostic("E031", message, use.span, help=help))
    return problems


def _conflict(lower: Use, upper: Use, why: str, help: str = "") -> Diagnostic:
    """Return the error for two tricks that conflict. ``upper`` is in the same layer or a later one."""
    first, second, usual = _in_order(lower, upper)
    message = f"`{first.word}` and `{second.word}` conflict: {why}"
    if first.declared.package != second.declared.package:
        message += f" (`{first.word}` from {first.declared.package}, `{second.word}` from {second.declared.package})"
    places = ((first.span, f"`{first.word}` is here"),) if first.span else ()
    return Diagnostic("E030", message, second.span, others=places, help=help or usual)


def _in_order(lower: Use, upper: Use) -> tuple[Use, Use, str]:
    """Return two conflicting tricks in the order in which they are written, and the help text."""
    if lower.span and upper.span and lower.span.source == upper.span.source:
        first, second = (lower, upper) if lower.span.start < upper.span.start else (upper, lower)
        return first, second, "remove one"
    if upper.span is None and lower.span is not None:  # a dialect's tricks are below everything that is written
        lower, upper = upper, lower
    drop = f", or add `drop {lower.word}` next to it" if lower.span else ""
    return lower, upper, f"remove `{upper.word}`{drop}"


def reasons(uses: Sequence[Use]) -> dict[str, list[str]]:
    """Return the reasons for each trick's position: the tricks it must follow, by declaration or by slots it reads."""
    by_word: dict[str, list[str]] = {}
    for use in uses:
        for other in uses:
            slots = sorted(_read_of(use, other) - {"run"})
            if other.word in use.declared.after:
                by_word.setdefault(use.word, []).append(f"after `{other.word}`, as declared")
            elif other.word != use.word and slots:
                why = f"after `{other.word}`, because it reads its {' and '.join(slots)}"
                by_word.setdefault(use.word, []).append(why)
    return by_word


def _read_of(use: Use, other: Use) -> set[str]:
    """Return the slots that one trick reads but does not write, and the other writes."""
    return (set(use.declared.reads) - set(use.declared.writes)) & set(other.declared.writes)


def _waits(uses: Collection[Use]) -> dict[str, set[str]]:
    """Return the tricks that each trick must follow by its own declaration."""
    return {
        use.word: {
            other.word
            for other in uses
            if other.word != use.word and (_read_of(use, other) or other.word in use.declared.after)
        }
        for use in uses
    }


def _followed(uses: Sequence[Use]) -> dict[str, set[str]]:
    """Return the tricks that each trick must follow, directly or indirectly. ``uses`` must be in order."""
    waits, earlier = _waits(uses), dict[str, set[str]]()
    for use in uses:
        earlier[use.word] = waits[use.word].union(*(earlier[word] for word in waits[use.word]))
    return earlier


def solve(uses: Iterable[Use]) -> tuple[Use, ...]:
    """Return tricks in the order in which they apply: writers of a slot before its readers, and `after` obeyed.

    Reading order breaks ties, so the result never depends on how a recipe is written. Raises `RecipeError` (E032).
    """
    rest = {use.word: use for use in sorted(uses, key=lambda use: use.declared.reading_key)}
    waits, order = _waits(rest.values()), list[Use]()
    while rest:
        ready = next((word for word in rest if not waits[word] & rest.keys()), None)
        if ready is None:
            stuck = [rest[word] for word in sorted(rest)]
            names = ", ".join(f"`{use.word}` (from {use.declared.package})" for use in stuck)
            places = tuple((use.span, f"`{use.word}`") for use in stuck[1:] if use.span)
            raise fail("E032", f"circular ordering between {names}", stuck[0].span, others=places)
        order.append(rest.pop(ready))
    return tuple(order)


def configured(uses: Sequence[Use]) -> tuple[Training, dict[str, list[Use]]]:
    """Return the training settings that tricks make, in order, and the tricks that make each setting.

    Raises `RecipeError`: E030 if two tricks change the same setting and neither declares that it comes last, E080 for
    an unknown setting or a value of the wrong type.
    """
    training, earlier = Training(), _followed(uses)
    makers: dict[str, list[Use]] = {}
    errors = list[Diagnostic]()
    for use in uses:
        if not use.trick.overrides("configure"):
            continue
        try:
            made = call_hook(use, "configure", training)
            for name in made:
                _check(use, name, made[name])
        except RecipeError as error:
            errors += error.diagnostics
            continue
        for name in sorted(made):
            for other in makers.get(name, ()):
                if other.word not in earlier[use.word]:
                    help = "remove one; a trick that changes another trick's setting must declare it with "
                    help += f'`after=("{other.word}",)`'
                    errors.append(_conflict(other, use, f"both set the training setting `{name}`", help))
            makers.setdefault(name, []).append(use)
        training = attrs.evolve(training, **made)
    if errors:
        raise RecipeError(*errors)
    return training, makers


def _check(use: Use, name: Any, value: Any) -> None:
    """Raise `RecipeError` (E080) if a setting is unknown or its value has the wrong type."""
    if name not in KINDS:
        help = did_you_mean(str(name), KINDS, f"the settings are {listing(KINDS, most=len(KINDS))}")
        raise broken(use, "configure", f"unknown setting `{name}`", help=help)
    if not KINDS[name].holds(value):
        raise broken(use, "configure", f"the setting `{name}` must be {KINDS[name].expects}, not {value!r:.60}")
