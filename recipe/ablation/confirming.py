"""Train the best combination of a screening again, under new seeds and perhaps at full length."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np

from recipe.ablation.cells.stamps import Stamps
from recipe.ablation.cells.store import Task
from recipe.ablation.cells.tasks import cells_of, correct_in, in_order
from recipe.ablation.checks import compile_rows
from recipe.ablation.lines import lines_of
from recipe.ablation.report.confirmation import Confirmation
from recipe.ablation.report.screening import Screening
from recipe.ablation.rows.combinations import Choice, Combinations, label_of
from recipe.ablation.rows.variants import Row, of_row, units_of
from recipe.ablation.statistics.results import Line
from recipe.base.caller import named, option
from recipe.base.errors import RecipeError, fail
from recipe.plan.plan import Plan
from recipe.plugins.uses import Use

NEW_SEEDS = 3
"""How many new seeds confirm a prediction."""

MORE = 2
"""How many further combinations show whether short runs rank combinations like long ones."""


@attrs.define(eq=False)
class Confirming:
    """The confirmation of a screening, as far as it is known before its results."""

    combinations: Combinations
    """The combinations of the recipe, without what shortens the screening."""
    seeds: tuple[int, ...]
    """Seeds that the screening doesn't have."""
    folder: Path
    """The folder of all cells."""
    is_short: bool
    """Whether the runs of the screening are shorter."""
    local: bool
    """Whether the runs are trained on this machine."""
    _prepared: dict[tuple[Choice, ...], tuple[tuple[Line, tuple[Task, ...]], ...]] = attrs.field(factory=dict)

    @property
    def runs(self) -> int:
        """The most runs that it may need, without those of teachers."""
        return len(self.seeds) * (2 + MORE * self.is_short)

    @property
    def _none(self) -> Choice:
        """The combination with none of the tricks."""
        return (False,) * len(self.combinations.units)

    def check(self) -> None:
        """Raise `RecipeError` if none of the tricks can't be trained, at the length of the confirmation."""
        try:
            row = self._row(self._none)
            row.seeded(self.seeds[-1])  # the largest one
        except RecipeError as error:
            raise RecipeError(*of_row("none", error)) from None
        if self.is_short:  # otherwise, the rows of the screening have these images
            Stamps.of(compile_rows([row]), self.local)

    def tasks(self, table: Screening) -> list[Task]:
        """Return the runs that the results of a screening ask for. Raises `RecipeError` if they aren't possible."""
        return in_order([tasks for _, tasks in self._rows(self._chosen(table))])

    def confirmation(self, table: Screening) -> Confirmation | None:
        """Return the results so far, or None if there is nothing to confirm."""
        if (best := table.best) is None or not (chosen := self._chosen(table)):
            return None
        prepared = self._rows(chosen)
        lines = tuple(attrs.evolve(line, cells=tuple(task.cell() for task in tasks)) for line, tasks in prepared)
        correct = {} if self.is_short else {**table.correct}
        if self.is_short or correct:
            correct |= correct_in([task for _, tasks in prepared for task in tasks if task.cell().status == "finished"])
        predicted = tuple(table.predicted(np.array(chosen)).tolist())
        return Confirmation(chosen, lines, predicted, best, () if self.is_short else table.lines, correct)

    def _chosen(self, table: Screening) -> tuple[Choice, ...]:
        """Return none of the tricks, the best combination, and after short runs some of those in between."""
        best, none = table.best, self._none
        if best is None or best.on == none:
            return ()
        if not self.is_short:
            return none, best.on
        others = [on for on in map(tuple, table.design.levels.tolist()) if on not in (none, best.on)]
        others = [on for on in others if self.combinations.find(on) is not None]
        if not others:
            return none, best.on
        order = np.argsort(table.predicted(np.array(others)), kind="stable")
        places = dict.fromkeys(round((at + 1) * (len(order) - 1) / (MORE + 1)) for at in range(MORE))
        return none, best.on, *(others[order[place]] for place in places)

    def _rows(self, chosen: tuple[Choice, ...]) -> tuple[tuple[Line, tuple[Task, ...]], ...]:
        """Return the rows of some combinations, without results, and their runs."""
        if chosen not in self._prepared:
            rows = [self._row(on) for on in chosen]
            programs = compile_rows(rows)
            named = [attrs.evolve(row, label=f"confirm {row.label}") for row in rows]
            cells = cells_of(named, self.seeds, self.folder, Stamps.of(programs, self.local))
            self._prepared[chosen] = tuple(zip(lines_of(rows, programs, "screen"), cells, strict=True))
        return self._prepared[chosen]

    def _row(self, on: Choice) -> Row:
        found = self.combinations.find(on)
        if found is None:
            raise self.combinations.errors(on) or AssertionError("a chosen combination is possible")
        return attrs.evolve(found[0], label=label_of(self.combinations.units, on))


def at_full_length(short: Combinations, whole: Plan, over: Sequence[str]) -> Combinations:
    """Return the combinations of the tricks of a shorter screening, in their order, as the whole recipe states them.

    Raises `RecipeError` (E124) if what shortens the screening adds, drops or changes some of the tricks.
    """
    known = {unit.words: unit for unit in units_of(whole, "screen", over)}
    if others := {unit.words for unit in short.units} ^ known.keys():
        word = " and ".join(min(others))
        message = f"{named('--short')} adds or drops `{word}`, which is a trick to study"
        raise fail("E124", message, help=f"name the tricks to study with {option('--over')}")
    for word in (word for unit in short.units for word in unit.words):
        if _is_restated(short.plan.find(word), whole.find(word)):
            message = f"{named('--short')} changes `{word}`, which is a trick to study"
            raise fail("E124", message, help=f"leave it out of {option('--short')} or of {option('--over')}")
    return Combinations(whole, tuple(known[unit.words] for unit in short.units))


def _is_restated(short: Use | None, whole: Use | None) -> bool:
    """Whether the statements that shorten a screening give a trick other values, add it or drop it."""
    if short is None or whole is None:
        return short is not whole
    return short.span != whole.span and short.statement() != whole.statement()
