"""The runs of an ablation, in the order in which they are trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from recipe.ablation.cells.stamps import Stamps
from recipe.ablation.cells.store import Task
from recipe.plan.plan import Plan
from recipe.training.teachers import named_teachers


def task_of(folder: Path, plan: Plan, seed: int, label: str, stamps: Stamps) -> Task:
    """Create a cell, together with the runs of its teachers."""
    teachers = (
        task_of(folder, named.plan, named.plan.training.seed, f"teacher {named.name}", stamps)
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
