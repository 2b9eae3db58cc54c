"""The rows of the table: their costs, and notes on anything unusual."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from recipe.ablation.rows.variants import Row, Unit
from recipe.ablation.statistics.results import Cell, Line
from recipe.base.wording import summary_line
from recipe.compiler.program import Program
from recipe.plugins.vocabulary import Vocabulary, key_of


def lines_of(rows: Sequence[Row], programs: Sequence[Program], mode: str) -> tuple[Line, ...]:
    """Return the rows of the table without results."""
    lines = []
    for row, program in zip(rows, programs, strict=True):
        if mode == "screen":  # a row is about all of its tricks
            units = row.on
            said = [f"`{unit.label}` already applied" for unit in units if _is_applied(program, unit.words)]
        else:
            units = (row.unit,) if row.unit else ()
            on = programs[0] if mode == "drop" else program  # the program in which the trick is on
            said = ["already applied" for unit in units if _is_applied(on, unit.words)]
            if row.reference is not None and rows[row.reference].plan.digest == row.plan.digest:
                said = ["same recipe"]
        statements = tuple(statement for unit in units for statement in unit.statements)
        note = "; ".join([*said, *(f"`{word}` overridden" for word in row.gave_way)])
        costs, epochs = program.costs, row.plan.training.epochs
        lines.append(Line(row.label, row.reference, statements, costs.params, costs.macs, note=note, epochs=epochs))
    return tuple(lines)


def meanings_of(units: Iterable[Unit], words: Vocabulary) -> dict[str, str]:
    """Return what each of some tricks does, in a sentence from its docstring, by its label."""
    return {unit.label: " ".join(summary_line(words.load(*key_of(word))) for word in unit.words) for unit in units}


def _is_applied(program: Program, words: Collection[str]) -> bool:
    """Whether tricks find their sites in a program, but have nothing to change."""
    steps = [step for step in program.steps if step.word in words]
    return bool(steps) and not any(step.edits for step in steps)


def substituted(asked: str, cells: Sequence[Cell]) -> str:
    """Return a note on cells that were computed in a different precision than the recipe asks for."""
    others = [cell.precision for cell in cells if cell.precision not in (None, asked)]
    some = "" if len(others) == len(cells) else f"{len(others)} of {len(cells)} "
    return f"{some}in {others[0]} instead of {asked}" if others else ""
