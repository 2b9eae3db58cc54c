"""The rows of the table, without results: costs, and notes on anything unusual."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from recipe.ablation.cells.store import Task
from recipe.ablation.rows.variants import Row, Unit
from recipe.ablation.statistics.results import Cell, Line
from recipe.base.wording import summary_line
from recipe.compiler.program import Program
from recipe.plugins.vocabulary import Vocabulary, key_of


def lines_of(rows: Sequence[Row], programs: Sequence[Program], mode: str) -> tuple[Line, ...]:
    """Return the rows of the table, with the costs of each and a note on anything unusual."""
    lines = []
    for row, program in zip(rows, programs, strict=True):
        words, statements = (row.unit.words, row.unit.statements) if row.unit else ((), ())
        same = row.reference is not None and rows[row.reference].plan.digest == row.plan.digest
        looked_at = programs[0] if mode == "drop" else program  # the program in which the trick is on
        already = is_applied(looked_at, words)
        said = ["same recipe"] if same else ["already applied"] if already else []
        if mode == "screen":  # a row is about all of its tricks
            statements = tuple(statement for unit in row.on for statement in unit.statements)
            said = [f"`{unit.label}` already applied" for unit in row.on if is_applied(program, unit.words)]
        note = "; ".join([*said, *(f"`{word}` overridden" for word in row.gave_way)])
        costs, epochs = program.costs, row.plan.training.epochs
        lines.append(Line(row.label, row.reference, statements, costs.params, costs.macs, note=note, epochs=epochs))
    return tuple(lines)


def meanings_of(units: Iterable[Unit], words: Vocabulary) -> dict[str, str]:
    """Return what each of some tricks does, in a sentence from its docstring, by its label."""
    return {unit.label: " ".join(summary_line(words.load(*key_of(word))) for word in unit.words) for unit in units}


def correct_in(tasks: Sequence[Task]) -> dict[str, npt.NDArray[np.bool_]]:
    """Return which held-out images each finished cell classifies correctly, if all were evaluated on the same ones."""
    found = {task.name: task.correct() for task in tasks}
    known = {name: correct for name, correct in found.items() if correct is not None}
    same = len({images for images, _ in known.values()}) == 1
    return {name: correct for name, (_, correct) in known.items()} if same else {}


def is_applied(program: Program, words: Collection[str]) -> bool:
    """Whether tricks find their sites in a program, but have nothing to change."""
    steps = [step for step in program.steps if step.word in words]
    return bool(steps) and not any(step.edits for step in steps)


def substituted(asked: str, cells: Sequence[Cell]) -> str:
    """Return a note on cells that were computed in a different precision than the recipe asks for."""
    others = [cell.precision for cell in cells if cell.precision not in (None, asked)]
    some = "" if len(others) == len(cells) else f"{len(others)} of {len(cells)} "
    return f"{some}in {others[0]} instead of {asked}" if others else ""
