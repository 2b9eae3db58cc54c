"""Teachers in an ablation: each is trained once, before its students. The runs are simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from recipe.ablation.cells.execute import Watcher
from recipe.base.errors import RecipeError
from recipe.plugins.vocabulary import Vocabulary
from tests.ablation.helpers import PLUGIN, TEXT, MadeUp, execute, made, study


@pytest.fixture
def taught(tmp_path: Path) -> Path:
    (tmp_path / "teacher.recipe").write_text("base resnet34; data fake size=32 classes=10 images=48; batch 8; epochs 2")
    return tmp_path / "teacher.recipe"


def test_teachers_are_trained_once_before_their_students(taught: Path, tmp_path: Path) -> None:
    study = made(tmp_path / "x", over=("tweak D", f'loss distill "{taught}"'), seeds=2)
    teacher, *cells = study.tasks
    assert teacher.label == "teacher teacher.recipe"
    assert len(cells) == 6
    launcher, begun = MadeUp({teacher.name: (-1, "")}), list[set[str]]()

    @attrs.define
    class Slow(Watcher):
        """Finish the teacher once all cells that don't need it have ended."""

        def look(self, under_way: Any) -> None:
            begun.append({task.label for task in under_way.values()})
            if len(launcher.ran) == 5 and launcher.handles[0].status is None:
                launcher.handles[0].status = 0
                MadeUp.write(teacher.run, 0.5)

    execute(study, launcher, jobs=2, watcher=Slow())
    assert launcher.ran[0] == teacher.name
    assert {*launcher.ran[5:]} == {task.name for task in study.cells[2]}, "the students come last"
    assert teacher.run.parent == study.cells[2][0].run.parent, "the students look for it there"


def test_a_student_with_a_plugin_shares_the_teacher_of_those_without(taught: Path, tmp_path: Path) -> None:
    (tmp_path / "dim.py").write_text(PLUGIN.replace("PART", "0.5"))
    words, over = Vocabulary.installed([tmp_path / "dim.py"]), (f'loss distill "{taught}"', "augment dim")
    found = study(TEXT, mode="stack", over=over, seeds=1, out=tmp_path / "x", plugins=words)
    launcher = MadeUp(words=words)
    execute(found, launcher)
    assert len(launcher.ran) == 4
    teacher, student = found.tasks[0], found.cells[2][0]
    assert teacher.stamp != student.stamp
    near = student.run.parent
    assert (near / teacher.plan.digest).resolve() == teacher.run.resolve(), "the student looks for it there"


@pytest.mark.parametrize(("status", "said"), [(3, "its teacher teacher.recipe diverged"), (1, "teacher.recipe failed")])
def test_the_students_of_a_failed_teacher_are_not_trained(status: int, said: str, taught: Path, tmp_path: Path) -> None:
    study = made(tmp_path / "x", over=("tweak D", f'loss distill "{taught}"'))
    launcher = MadeUp({study.tasks[0].name: (status, "odd")})
    with pytest.raises(RecipeError, match=rf"E126(.|\n)*`\+ loss distill.*{said}"):
        execute(study, launcher)
    assert not {*launcher.ran} & {task.name for task in study.cells[2]}
    assert [len(line.results) for line in study.table().lines] == [2, 2, 0]


def test_a_teacher_with_other_classes_is_reported_before_training(taught: Path, tmp_path: Path) -> None:
    taught.write_text("base resnet34 classes=7; data fake size=32 classes=7 images=48; batch 8")
    with pytest.raises(RecipeError, match=r"E072.*row `\+ loss distill.*7 classes, but the student has 10"):
        made(tmp_path / "x", over=("tweak D", f'loss distill "{taught}"'))
