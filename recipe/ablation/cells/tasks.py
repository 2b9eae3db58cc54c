"""The runs of an ablation: those of its rows and of their teachers, in the order in which they are trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recipe.ablation.cells.stamps import Stamps
from recipe.ablation.cells.store import Task
from recipe.ablation.rows.variants import Row
from recipe.plan.plan import Plan
from recipe.training.teachers import named_teachers


def cells_of(rows: Sequence[Row], seeds: Sequence[int], folder: Path, stamps: Stamps) -> tuple[tuple[Task, ...], ...]:
    """Return the cells of each row, one per seed. ``folder`` is that of all cells."""
    return tuple(tuple(_task(folder, row.seeded(seed), seed, row.label, stamps) for seed in seeds) for row in rows)


def _task(folder: Path, plan: Plan, seed: int, label: str, stamps: Stamps) -> Task:
    """Return a cell, together with the runs of its teachers."""
    teachers = (
        _task(folder, named.plan, named.plan.training.seed, f"teacher {named.name}", stamps)
        for named in named_teachers(plan)
        if named.is_trained
    )
    return Task(folder, plan, seed, label, stamps.stamp(plan), tuple(teachers), stamps.data(plan))


def in_order(rows: Sequence[Sequence[Task]]) -> list[Task]:
    """Return all distinct runs of rows of cells: teachers first, then all rows under the first seed, and so on."""
    most = max(map(len, rows), default=0)
    cells = [row[at] for at in range(most) for row in rows if at < len(row)]
    tasks: dict[str, Task] = {}
    for task in (*_teachers(cells), *cells):
        tasks.setdefault(task.name, task)
    return list(tasks.values())


def _teachers(tasks: Iterable[Task]) -> list[Task]:
    """Return the teachers of some cells, each after its own teachers."""
    below = [teacher for task in tasks for teacher in task.teachers]
    return [taught for teacher in below for taught in (*_teachers([teacher]), teacher)]


def correct_in(tasks: Sequence[Task]) -> dict[str, npt.NDArray[np.bool_]]:
    """Return which held-out images each finished cell classifies correctly, if all were evaluated on the same ones."""
    found = {task.name: task.correct() for task in tasks}
    known = {name: correct for name, correct in found.items() if correct is not None}
    same = len({images for images, _ in known.values()}) == 1
    return {name: correct for name, (_, correct) in known.items()} if same else {}
