"""The cells of a table are trained on the same data, also if it changes while the ablation runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from unittest import mock

import attrs
import pytest

from recipe.ablation import preparing
from recipe.ablation.cells.execute import Unfinished
from recipe.ablation.cells.launchers import Handle
from recipe.ablation.cells.store import Task
from recipe.ablation.request import Request
from recipe.ablation.study import Study
from recipe.plan.plan import Plan
from recipe.runs.layout import choose_folder
from recipe.runs.provenance import Classes, Data, Preprocessing, Provenance, read_provenance, write_provenance
from recipe.runs.recipe_lock import lock_text
from tests.ablation.helpers import PLUGIN, TEXT, MadeUp, execute, made
from tests.helpers import command

PREPROCESSING = Preprocessing(32, None, (0.5,) * 3, (0.5,) * 3)


def write(folder: Path, data: tuple[Classes, Data] | None, contents: str = "") -> None:
    """Write the provenance of a run on this data, or on training images with other contents."""
    assert data is not None
    classes, own = data
    if contents:
        own = attrs.evolve(own, training=attrs.evolve(own.training, contents=contents))
    folder.mkdir(parents=True, exist_ok=True)
    write_provenance(folder, Provenance(classes, PREPROCESSING, own))


@attrs.define
class Changing(MadeUp):
    """A launcher whose runs are on the data of the ablation, until it changes after some of them."""

    tasks: dict[str, Task] = attrs.field(factory=dict)
    until: int = 100

    def __call__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Handle:
        handle = super().__call__(command, log, environment)
        task = self.tasks[self.ran[-1]]
        write(task.run, task.data, "0" * 16 if len(self.ran) > self.until else "")
        return handle


def test_a_cell_on_changed_images_is_no_result_and_is_trained_again(tmp_path: Path) -> None:
    study = made(tmp_path / "x", seeds=1)
    tasks = {task.name: task for task in study.tasks}
    with pytest.raises(Unfinished) as caught:
        execute(study, Changing(tasks=tasks, until=2))
    messages = [error.message for error in caught.value.diagnostics]
    assert messages, "the rows after the change"
    assert all("have changed since the ablation started" in message for message in messages)
    assert [task.cell().status for task in study.tasks] == ["finished", "finished", "missing", "missing"]
    again = Changing(tasks=tasks)
    execute(study, again)
    assert again.ran == [task.name for task in study.tasks[2:]]
    assert {task.cell().status for task in study.tasks} == {"finished"}


def test_what_is_left_of_a_run_on_other_data_is_removed_before_it_is_trained_again(tmp_path: Path) -> None:
    task = made(tmp_path / "x", seeds=1).tasks[0]
    write(task.run, task.data, "0" * 16)
    (task.run / "metrics.jsonl").write_text("")
    (task.run / "notes.txt").write_text("mine")
    (task.run / "recipe.lock").write_text(lock_text(task.plan))
    assert task.is_of_other_data()
    task.prepare()
    assert read_provenance(task.run) is None
    assert {path.name for path in task.run.iterdir()} == {"notes.txt", "recipe.lock"}
    assert choose_folder(task.run, "x", task.plan, resume=True) == task.run


def test_the_command_hands_its_plugins_to_the_cells(tmp_path: Path) -> None:
    (tmp_path / "dim.py").write_text(PLUGIN.replace("PART", "0.5"))
    prepared = []
    original = preparing.study

    def study(plan: Plan, request: Request, tell: Callable[[str], None]) -> Study:
        prepared.append(original(plan, request, tell))
        return prepared[-1]

    with mock.patch.object(preparing, "study", study):
        words = ("--mode", "drop", "--over", "augment dim", "--seeds", "1", "--dry-run", "--device", "cpu")
        done = command("ablate", TEXT, "augment dim", *words, "--plugin", tmp_path / "dim.py")
    assert done.status == 0, done.stderr
    assert [*prepared[0].plugins] == [tmp_path / "dim.py"]
