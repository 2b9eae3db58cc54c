"""The rows of a screening: the combinations of tricks that a design asks for, or the nearest possible ones.

Needs no torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import attrs
import numpy as np

from recipe.ablation.rows.variants import Row, Unit, is_trick, layer, sources_of, units_of
from recipe.ablation.statistics.designs import Design, screening
from recipe.base.caller import option
from recipe.base.errors import RecipeError, fail
from recipe.base.wording import listing, plural
from recipe.plan.bind import bind
from recipe.plan.plan import Plan

SEEDS = 2
"""The default number of seeds, and the least that show noise."""

MOST_TRIES = 2_000
"""How many combinations are tried to replace impossible ones."""

Choice = tuple[bool, ...]
"""Which tricks are on, in the order of the units."""


@attrs.define(eq=False)
class Combinations:
    """All combinations of some tricks, bound when they are asked for."""

    plan: Plan
    units: tuple[Unit, ...]
    _bound: dict[Choice, tuple[Row, Choice] | None] = attrs.field(factory=dict)

    def find(self, on: Choice) -> tuple[Row, Choice] | None:
        """Return the row of a combination and the tricks that are on in it, or None if the combination is impossible.

        A trick that another one overrides is off. A combination in which only a part of a unit is on is impossible.
        """
        if on not in self._bound:
            try:
                self._bound[on] = self._row(on)
            except RecipeError:
                self._bound[on] = None
        return self._bound[on]

    def statements(self, on: Choice) -> tuple[str, ...] | None:
        """Return statements that turn exactly these tricks on if they are laid over the recipe.

        Returns None if the combination is impossible, or if some of its tricks override others.
        """
        found = self.find(on)
        if found is None or found[1] != on:
            return None
        row, stated = found[0], {use.word: use for use in self.plan.uses if use.stated}
        chosen = [text for unit in row.on for text in unit.statements]
        off = [word for at, unit in enumerate(self.units) if not on[at] for word in unit.words]
        drops = [f"drop {word}" for word in off if word in stated and is_trick(stated[word])]
        texts = {use.statement() for use in stated.values()}
        brief = (*drops, *(text for text in chosen if text not in texts))
        try:
            if bind([*self.plan.sources, layer(*brief)], self.plan.vocabulary, data=True).digest == row.plan.digest:
                return brief
        except RecipeError:  # a verb and its clauses, for example
            pass
        return tuple(text for source in row.sources[len(self.plan.sources) :] for text in source.text.splitlines())

    def is_idle(self, on: Choice, at: int) -> bool:
        """Whether a combination is the same recipe with and without one of the tricks."""
        one, other = self.find(on), self.find(tuple(is_on != (at == place) for place, is_on in enumerate(on)))
        return one is not None and other is not None and one[0].plan.digest == other[0].plan.digest

    def errors(self, on: Choice) -> RecipeError | None:
        """Return the errors of a combination."""
        try:
            self._row(on)
        except RecipeError as error:
            return error
        return None

    def why_not(self, on: Choice) -> str:
        """Return why a combination isn't a row, in words."""
        if (error := self.errors(on)) is not None:
            return error.diagnostics[0].message
        if (found := self.find(on)) is None:
            return "another trick overrides a part of a trick"
        off = [unit.label for unit, asked, is_on in zip(self.units, on, found[1], strict=True) if asked and not is_on]
        return f"another trick overrides {listing(off)}" if off else "it is the same recipe as another combination"

    def near(self, wanted: Choice) -> Iterator[list[Choice]]:
        """Yield the other combinations, in lists of those that differ from one in equally many tricks."""
        for count in range(1, len(wanted) + 1):
            changes = ({*each} for each in itertools.combinations(range(len(wanted)), count))
            yield [tuple(is_on != (at in change) for at, is_on in enumerate(wanted)) for change in changes]

    def _row(self, on: Choice) -> tuple[Row, Choice] | None:
        chosen = tuple(unit for unit, is_on in zip(self.units, on, strict=True) if is_on)
        sources = sources_of(self.plan, self.units, chosen)
        row = Row("", sources, bind(sources, self.plan.vocabulary, data=True), on=chosen)
        overridden = {*row.gave_way}
        parts = [[word in overridden for word in unit.words] for unit in self.units]
        if any(any(part) and not all(part) for part in parts):
            return None
        return row, tuple(is_on and not all(part) for is_on, part in zip(on, parts, strict=True))


@attrs.frozen
class Replaced:
    """A combination of the full design that is no row."""

    on: Choice
    row: int | None
    """The index of the row that takes its place, or None if nothing new could."""
    why: str
    """Why it isn't possible, in words."""


@attrs.frozen(eq=False)
class Screen:
    """The rows of a screening, and its design with the tricks that are on in each."""

    rows: tuple[Row, ...]
    design: Design
    combinations: Combinations
    replaced: tuple[Replaced, ...]
    """The combinations of the design that other ones took the place of."""
    seeds: int
    """How many seeds the rows have by default."""

    @property
    def units(self) -> tuple[Unit, ...]:
        return self.combinations.units


def screened(plan: Plan, over: Sequence[str], resolution: int | None = None, runs: int | None = None) -> Screen:
    """Return the rows of a screening of a plan, all bound.

    Args:
        plan: The studied recipe.
        over: The tricks, or nothing for all that the recipe states.
        resolution: 3 or 4. Defaults to 4, or to 3 if ``runs`` are too few for 4.
        runs: The most runs. The seeds are as many as fit, at least two.

    Raises:
        RecipeError: If tricks are not possible (with their errors) or can't be told apart (E124), or if the runs are
            too few (E127).
    """
    units = units_of(plan, "screen", over)
    if len(units) < 2:
        help = f"name more with {option('--over')}, or use the mode `add`"
        raise fail("E124", f"a screening compares at least two tricks, not only `{units[0].label}`", help=help)
    combinations, least = Combinations(plan, units), 0
    for asked in (resolution,) if resolution else (4, 3) if runs else (4,):
        found = _screen(combinations, screening(len(units), asked))
        if runs is None or SEEDS * len(found.rows) <= runs:
            return found if runs is None else attrs.evolve(found, seeds=runs // len(found.rows))
        least = SEEDS * len(found.rows)
    help = f"allow {plural(least, 'run')} with {option('--runs')}, or study fewer tricks with {option('--over')}"
    raise fail("E127", f"{plural(runs or 0, 'run')} can't screen {plural(len(units), 'trick')}", help=help)


def _screen(combinations: Combinations, design: Design) -> Screen:
    wanted: list[Choice] = [tuple(levels) for levels in design.levels.tolist()]
    found, taken = list[tuple[Row, Choice] | None](), set[str]()
    for on in wanted:
        got = combinations.find(on)
        found.append(None if got is None or got[0].plan.digest in taken else got)
        taken |= {got[0].plan.digest} if got else set()
    for at in [at for at, got in enumerate(found) if got is None]:
        found[at] = _replacement(combinations, wanted[at], [got for got in found if got is not None])
    kept = [got for got in found if got is not None]
    if not kept:
        raise combinations.errors((False,) * len(combinations.units)) or AssertionError("no combination is possible")
    actual = attrs.evolve(design, levels=np.array([on for _, on in kept]))
    _check_told_apart(combinations, actual)
    rows = tuple(
        attrs.evolve(row, label=f"{at}: {label_of(combinations.units, on)}") for at, (row, on) in enumerate(kept, 1)
    )
    place, replaced = itertools.count(), list[Replaced]()
    for on, got in zip(wanted, found, strict=True):
        taken_by = None if got is None else next(place)
        if got is None or got[1] != on:
            replaced.append(Replaced(on, taken_by, combinations.why_not(on)))
    return Screen(rows, actual, combinations, tuple(replaced), SEEDS)


def _replacement(
    combinations: Combinations, wanted: Choice, there: Sequence[tuple[Row, Choice]]
) -> tuple[Row, Choice] | None:
    """Return the possible combination nearest to one that isn't.

    Among equally near ones, it is the one that tells most about the effects. It isn't another one of the design, since
    a second run of the same recipe would tell nothing.
    """
    tries, taken, levels = 0, {row.plan.digest for row, _ in there}, [on for _, on in there]
    for alike in combinations.near(wanted):
        tries += len(alike)
        if tries > MOST_TRIES:
            break
        possible = filter(None, map(combinations.find, alike))
        if new := [got for got in possible if got[0].plan.digest not in taken]:
            return max(new, key=lambda got: _information([*levels, got[1]]))
    return None


def label_of(units: Iterable[Unit], on: Iterable[bool]) -> str:
    """Return the tricks of a combination, in words."""
    return ", ".join(unit.label for unit, is_on in zip(units, on, strict=True) if is_on) or "none"


def _information(levels: Sequence[Choice]) -> float:
    """Return the logarithm of the determinant of X'X of the main effects."""
    model = np.column_stack([np.ones(len(levels)), np.where(levels, 1.0, -1.0)])
    ridge = 1e-6 * np.eye(model.shape[1])  # while there are too few rows, each that tells something new counts
    return float(np.linalg.slogdet(model.T @ model + ridge).logabsdet)


def _check_told_apart(combinations: Combinations, design: Design) -> None:
    """Raise `RecipeError` if a trick changes nothing, or if the rows don't determine the effect of each."""
    units = combinations.units
    for at, unit in enumerate(units):
        if all(combinations.is_idle(tuple(on), at) for on in design.levels.tolist()):
            help = f"leave it out of {option('--over')}"
            raise fail("E124", f"`{unit.label}` can't be screened: the recipe is the same without it", help=help)
        if not design.levels[:, at].any() and (error := combinations.errors(tuple(each is unit for each in units))):
            raise error
    if not (bad := design.undetermined):
        return
    labels = [units[at].label for at in bad]
    if len(bad) == 1:
        state = "on" if design.levels[:, bad[0]].any() else "off"
        help = f"leave it out of {option('--over')}"
        raise fail("E124", f"`{labels[0]}` can't be screened: it is {state} in every possible combination", help=help)
    together = "; ".join(labels)
    help = f'study them as one trick, with {option("--over")} "{together}", or leave one out'
    message = f"the effects of {listing(labels)} can't be told apart in the combinations that are possible"
    raise fail("E124", message, help=help)
