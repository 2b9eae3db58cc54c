"""Teachers are trained when first needed, reused later, and checked before anything trains."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

import recipe
from recipe.api import InMemory, Sets, Trick, integer, trick
from recipe.base.errors import RecipeError
from recipe.compiler.program import Program
from recipe.runs.reader import summary_of
from recipe.training import teachers
from recipe.training.reporting import Listener
from recipe.training.teachers import teachers_of
from tests.helpers import bind, vocabulary_with
from tests.training.helpers import train


class Notes(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def write_teacher(folder: Path, extra: str = "", classes: int = 10) -> Path:
    path = folder / "teacher.recipe"
    lines = [
        "base shufflenet_v2_x0_5",
        f"data fake size=32 classes={classes} images=24",
        "batch 8",
        "epochs 1",
        "lr 1e-3",
        extra,
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_teacher_is_trained_once_and_then_reused(tmp_path: Path) -> None:
    path, first, second = write_teacher(tmp_path), Notes(), Notes()
    text = f'base shufflenet_v2_x0_5; data fake size=32 classes=10 images=24; batch 8; epochs 1; loss distill "{path}"'
    train(tmp_path / "runs" / "a", text=text, listener=first)
    assert any("training it first" in note for note in first.notes)
    train(tmp_path / "runs" / "b", text=text, listener=second)
    assert any("using the finished run" in note for note in second.notes)
    assert len(list((tmp_path / "runs").glob("teacher-*"))) == 1


def test_a_teacher_whose_folder_was_trained_on_is_trained_again_in_another(tmp_path: Path) -> None:
    path, notes = write_teacher(tmp_path), Notes()
    text = f'base shufflenet_v2_x0_5; data fake size=32 classes=10 images=24; batch 8; epochs 1; loss distill "{path}"'
    train(tmp_path / "runs" / "a", text=text)
    (first,) = (tmp_path / "runs").glob("teacher-*")
    longer = train(first, "epochs 2", text=path.read_text(), resume=True, allow_changed=True)
    train(tmp_path / "runs" / "b", text=text, listener=notes)
    assert any("training it first" in note for note in notes.notes)
    assert summary_of(first.with_name(f"{first.name}-2"))["epochs"] == 1
    assert summary_of(first) == longer.summary
    train(tmp_path / "runs" / "c", text=text, listener=notes)
    assert f"teacher teacher.recipe: using the finished run {first}-2" in notes.notes


def test_the_layout_of_a_teacher_recipe_does_not_matter(tmp_path: Path) -> None:
    path, notes = write_teacher(tmp_path), Notes()
    text = f'base shufflenet_v2_x0_5; data fake size=32 classes=10 images=24; batch 8; epochs 1; loss distill "{path}"'
    train(tmp_path / "runs" / "a", text=text)
    path.write_text("# the same\n" + path.read_text().replace("\n", "\n\n"))
    train(tmp_path / "runs" / "b", text=text, listener=notes)
    assert any("using the finished run" in note for note in notes.notes)


def test_a_teacher_with_other_classes_is_rejected_before_it_trains(tmp_path: Path) -> None:
    path = write_teacher(tmp_path, classes=12)
    text = f'base shufflenet_v2_x0_5; data fake size=32 classes=10 images=24; batch 8; epochs 1; loss distill "{path}"'
    with pytest.raises(RecipeError, match="E072"):
        train(tmp_path / "runs" / "a", text=text)
    assert not list(tmp_path.glob("runs/teacher-*"))


@pytest.mark.parametrize("inside", [True, False])
def test_compile_errors_in_a_teacher_are_reported_like_those_of_check(inside: bool, tmp_path: Path) -> None:
    from recipe.language.recipe_input import read
    from recipe.plan.bind import bind
    from recipe.training.teachers import teachers_of

    (tmp_path / "teacher.recipe").write_text("base vgg11; tweak D  # hunter2\n")
    student = tmp_path / ("student.recipe" if inside else "own/student.recipe")
    student.parent.mkdir(exist_ok=True)
    student.write_text(f'base resnet18; loss distill "{tmp_path / "teacher.recipe"}"\n')
    with pytest.raises(RecipeError) as caught:
        teachers_of(bind([read(student)], data=True), 10)
    codes = [error.code for error in caught.value.diagnostics]
    assert codes == (["E060", "E101"] if inside else ["E060"])
    assert "E101" in str(caught.value)
    assert ("hunter2" in str(caught.value)) == inside


def test_the_lock_names_the_teacher_and_binds_to_the_same_plan(tmp_path: Path) -> None:
    from recipe.language.recipe_input import read
    from recipe.plan.bind import bind

    path = write_teacher(tmp_path)
    text = f'base shufflenet_v2_x0_5; data fake size=32 classes=10 images=24; batch 8; epochs 1; loss distill "{path}"'
    run = train(tmp_path / "runs" / "a", text=text)
    assert bind([read(run.folder / "recipe.lock")], data=True).digest == run.summary["digest"]


def test_a_finished_student_no_longer_needs_its_teacher(tmp_path: Path) -> None:
    path = write_teacher(tmp_path)
    run = train(tmp_path / "runs" / "student", f'loss distill "{path}"')
    for folder in (tmp_path / "runs").glob("teacher-*"):
        shutil.rmtree(folder)
    again = train(tmp_path / "runs" / "student", f'loss distill "{path}"', resume=True)
    assert again.summary == run.summary
    assert not list((tmp_path / "runs").glob("teacher-*"))
    for file in [*(run.folder / "checkpoints").iterdir(), run.folder / "model.safetensors"]:
        file.unlink()
    assert train(tmp_path / "runs" / "student", f'loss distill "{path}"', resume=True).summary["steps"] == 6
    assert len(list((tmp_path / "runs").glob("teacher-*"))) == 1, (
        "a student that restarts from scratch needs its teacher"
    )


@pytest.mark.parametrize(("resized", "code"), [("resize 0.25", "E103"), ("resize 0.5", "")])
def test_a_teacher_that_cannot_process_the_smallest_images_is_reported_before_it_trains(
    tmp_path: Path, resized: str, code: str
) -> None:
    """SqueezeNet can process images of 32 × 32 pixels, but not of 16 × 16."""
    path = tmp_path / "teacher.recipe"
    path.write_text("base squeezenet1_1; data fake size=64 classes=10 images=8; batch 8; epochs 1; lr 1e-4")
    plan = bind(f'base resnet18; data fake size=64 classes=10 images=8; epochs 4; {resized}; loss distill "{path}"')
    if not code:
        assert teachers_of(plan, 10)
        return
    with pytest.raises(RecipeError, match=code) as told:
        teachers_of(plan, 10)
    assert "`teacher.recipe` can't process images of 16×16" in str(told.value)


# ---- classes are joined by name


def named(*names: str) -> type[Trick]:
    """Return a trick that opens an image of each shade, with these names for the two classes."""

    @trick(f"data {'-'.join(names)}", writes=("data",))
    class Named(Trick):
        """Two shades."""

        size: int = integer(32, "size of the images")
        workers: int = integer(0, "processes", result=False)

        def open(self) -> Sets:
            labels = torch.arange(16) % 2
            noise = torch.randint(0, 50, (16, 3, 32, 32), generator=torch.Generator().manual_seed(0))
            pixels = (noise + 200 * labels[:, None, None, None]).byte()
            return Sets(InMemory(pixels, labels), InMemory(pixels, labels), 2, names=names)

        def count_classes(self) -> int:
            return 2

    return Named


def taught(folder: Path, *tricks: type[Trick]) -> list[list[int] | None]:
    """Train a teacher on the first trick's images and a student on the last one's. Return the orders of its logits."""
    words = vocabulary_with(*tricks)
    path = folder / "teacher.recipe"
    path.write_text(f"base shufflenet_v2_x0_5; {tricks[0].declared.word}; batch 8; epochs 1; lr 0.01")
    text = f'base shufflenet_v2_x0_5; {tricks[-1].declared.word}; batch 8; epochs 1; lr 0.01; loss distill "{path}"'
    orders: list[list[int] | None] = []
    made = teachers.teaching

    def teaching(program: Program, device: torch.device, order: list[int] | None = None) -> Any:
        orders.append(order)
        return made(program, device, order)

    with mock.patch.object(teachers, "teaching", teaching):
        train(folder / "runs" / "student", text=text, plugins=words)
    return orders


def test_a_teacher_with_its_classes_in_another_order_is_joined_by_name(tmp_path: Path) -> None:
    assert taught(tmp_path, named("cat", "dog"), named("dog", "cat")) == [[1, 0]]


def test_a_teacher_with_the_same_classes_is_used_as_it_is(tmp_path: Path) -> None:
    assert taught(tmp_path, named("cat", "dog")) == [None]


def test_a_teacher_with_other_names_for_its_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"E072.*was trained on other classes: `cat` instead of `ape`"):
        taught(tmp_path, named("cat", "dog"), named("ape", "dog"))


def test_the_logits_of_a_teacher_are_reordered() -> None:
    program = recipe.compile("base shufflenet_v2_x0_5 classes=3; data fake size=32 classes=3; precision fp32")
    inputs = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plain, turned = (teachers.teaching(program, torch.device("cpu"), order)(inputs) for order in (None, [2, 0, 1]))
    assert torch.equal(turned, plain[:, [2, 0, 1]])


def test_a_teacher_sees_images_with_its_own_mean_and_deviation(tmp_path: Path) -> None:
    """The same images, which the student's recipe normalizes in another way."""
    path = write_teacher(tmp_path, "input mean=0.5 0.4 0.3 std=0.25 0.25 0.5")
    text = f'base shufflenet_v2_x0_5; data fake size=32 classes=10 images=24; batch 8; epochs 1; loss distill "{path}"'
    text += "; input mean=0.1 0.2 0.3 std=0.5 0.25 0.25"
    seen, call = list[teachers.Teaching](), teachers.Teaching.__call__

    def kept(self: teachers.Teaching, inputs: torch.Tensor) -> torch.Tensor:
        seen.append(self)
        return call(self, inputs)

    with mock.patch.object(teachers.Teaching, "__call__", kept):
        train(tmp_path / "run", text=text)
    pixels = torch.rand(2, 3, 32, 32)
    own, its = (
        (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
        for mean, std in (((0.1, 0.2, 0.3), (0.5, 0.25, 0.25)), ((0.5, 0.4, 0.3), (0.25, 0.25, 0.5)))
    )
    assert torch.allclose(seen[0]._seen(own), its, atol=1e-5)
    assert not torch.allclose(own, its, atol=0.1)
