"""Nothing is taken for something else: another teacher, other weights, other code, files of others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import fx, nn
from torchvision.models import resnet18

import recipe
from recipe.base.errors import RecipeError
from recipe.base.files import write_output
from recipe.plugins.fingerprint import code_of
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.recipe_lock import lock_text
from recipe.training.reporting import EpochLine, Plain
from tests.helpers import bind, command
from tests.runs.test_provenance import paint, photos, text
from tests.training.helpers import TINY, train

__all__ = ["photos"]

LAYER = '''"""tweak turn"""
import torch
from recipe.api import Insert, Layer, Site, Trick, trick

class Turn(torch.nn.Module):
    def forward(self, x):
        return x * FACTOR

@trick("tweak turn", writes=("head",))
class TurnTrick(Trick):
    """Scale the logits."""

    def rewrite(self, net):
        (head,) = net.heads
        return [Site(head, (Insert(head, "turn", Layer("turning:Turn")),))]
'''


# ---- teachers


def student(folder: Path, photos: Path) -> str:
    path = folder / "teacher.recipe"
    path.write_text(text(photos).replace("epochs 2", "epochs 1"))
    return f'{text(photos)}; loss distill "{path}"'


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda photos: paint(photos / "train/dog/0.png", 10), "the training images are different"),
        (lambda photos: paint(photos / "val/dog/9.png", 10), "there are 5 held-out images instead of 4"),
    ],
    ids=["another pixel", "one more"],
)
def test_a_teacher_of_other_images_is_refused(change: object, said: str, photos: Path, tmp_path: Path) -> None:
    recipe = student(tmp_path, photos)
    train(tmp_path / "runs" / "a", text=recipe)
    change(photos)  # type: ignore[operator]
    with pytest.raises(RecipeError, match=f"E072.*was trained on other data or by other code: {said}"):
        train(tmp_path / "runs" / "b", text=recipe)


def test_a_student_does_not_resume_with_another_teacher(tmp_path: Path) -> None:
    path = tmp_path / "teacher.recipe"
    path.write_text(TINY)
    program = recipe.compile(TINY)
    run = train(tmp_path / "runs" / "student", f'loss distill "{path}"')
    (teacher,) = (tmp_path / "runs").glob("teacher-*")
    for file in [*(run.folder / "checkpoints").iterdir(), run.folder / "model.safetensors"]:
        file.unlink()
    os.rename(teacher, tmp_path / "elsewhere")
    with torch.no_grad():
        program.model.get_parameter("fc.bias").add_(1)
    recipe.run(program, out=teacher, device="cpu")
    with pytest.raises(RecipeError, match=r"E072|E113"):
        train(tmp_path / "runs" / "student", f'loss distill "{path}"', resume=True)


# ---- weights that a program was given


def test_a_run_from_other_weights_is_not_taken_for_one_of_the_recipe(tmp_path: Path) -> None:
    program = recipe.compile(TINY)
    same = recipe.run(program, out=tmp_path / "same", device="cpu")
    assert train(tmp_path / "same", resume=True).summary == same.summary
    with torch.no_grad():
        program.model.get_parameter("fc.bias").add_(1)
    recipe.run(program, out=tmp_path / "other", device="cpu")
    with pytest.raises(RecipeError, match=r"E113.*another recipe or model: the own model or weights, from which"):
        train(tmp_path / "other", resume=True)
    with pytest.raises(RecipeError, match=r"E113.*another recipe or model: the own model or weights, from which"):
        recipe.run(program, out=tmp_path / "same", device="cpu", resume=True)


def frozen(program: recipe.Program) -> recipe.Program:
    for parameter in program.model.parameters():
        parameter.requires_grad_(False)
    program.model.get_parameter("fc.weight").requires_grad_(True)
    return program


def test_a_run_of_a_model_with_frozen_weights_is_not_taken_for_one_of_the_recipe(tmp_path: Path) -> None:
    own = recipe.run(frozen(recipe.compile(TINY)), out=tmp_path / "own", device="cpu")
    fresh = recipe.compile(TINY).model.state_dict()
    trained = own.model.state_dict()
    moved = {name for name, _ in own.model.named_parameters() if not torch.equal(trained[name], fresh[name])}
    assert moved == {"fc.weight"}
    with pytest.raises(RecipeError, match=r"E113.*another recipe or model: the own model or weights, from which"):
        train(tmp_path / "own", resume=True)
    again = recipe.run(frozen(recipe.compile(TINY)), out=tmp_path / "own", device="cpu", resume=True)
    assert again.summary == own.summary


def test_a_run_of_a_model_with_frozen_weights_is_not_taken_for_the_teacher(tmp_path: Path) -> None:
    path = tmp_path / "teacher.recipe"
    path.write_text(TINY)
    recipe.run(frozen(recipe.compile(path)), out=tmp_path / "runs" / "taught", device="cpu")
    with pytest.raises(RecipeError, match=r"E072.*the own model or weights, from which the training starts"):
        train(tmp_path / "runs" / "student", f'loss distill "{path}"')


def test_freezing_weights_of_an_own_model_makes_another_model(tmp_path: Path) -> None:
    mine = resnet18(num_classes=4)
    before = recipe.compile("data fake classes=4 images=32 size=32", base=mine).identity
    mine.conv1.weight.requires_grad_(False)
    assert recipe.compile("data fake classes=4 images=32 size=32", base=mine).identity != before


def change_momentum(model: fx.GraphModule) -> None:
    model.get_submodule("conv1.1").momentum = 0.9  # type: ignore[assignment]


def replace_layer(model: fx.GraphModule) -> None:
    model.fc = nn.Linear(1024, 10, bias=False)


def change_graph(model: fx.GraphModule) -> None:
    relu = next(node for node in model.graph.nodes if node.target == "conv1.2")
    relu.replace_all_uses_with(relu.args[0])
    model.recompile()


def add_hook(model: fx.GraphModule) -> None:
    model.get_submodule("fc").register_forward_hook(lambda layer, inputs, output: 2 * output)


def freeze_statistics(model: fx.GraphModule) -> None:
    model.get_submodule("conv1.1").eval()


def replace_forward(model: fx.GraphModule) -> None:
    model.get_submodule("fc").forward = lambda x: x[:, :10]  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (change_momentum, "`conv1.1`"),
        (replace_layer, "`fc`"),
        (change_graph, "the graph"),
        (add_hook, "`fc`"),
        (freeze_statistics, "`conv1.1`"),
        (replace_forward, "`fc`"),
    ],
)
def test_a_program_with_a_changed_model_is_not_run(
    change: Callable[[fx.GraphModule], None], named: str, tmp_path: Path
) -> None:
    program = recipe.compile(TINY)
    change(program.model)
    for use in (lambda: recipe.run(program, out=tmp_path / "run", device="cpu"), lambda: recipe.diff(program, TINY)):
        with pytest.raises(RecipeError, match=f"E102.*{named} of the program's model has been changed"):
            use()
    assert not (tmp_path / "run").exists()


def test_evaluating_a_program_changes_nothing(tmp_path: Path) -> None:
    program = recipe.compile(TINY)
    program.model.eval()(torch.zeros(2, 3, 32, 32))
    assert program.as_changed() is program


def test_a_changed_model_is_not_exchanged_for_another_one(tmp_path: Path) -> None:
    program = frozen(recipe.compile(TINY))
    with pytest.raises(RecipeError, match=r"E102.*has been changed, but training starts from another one"):
        recipe.run(program, "lr 0.02", out=tmp_path / "run", device="cpu")


# ---- code of plugins


def test_the_code_of_a_plugin_is_what_it_names_and_not_what_is_loaded(tmp_path: Path) -> None:
    def code() -> str:
        code_of.cache_clear()
        vocabulary = Vocabulary.installed([tmp_path / "plugin.py"])
        return code_of(vocabulary.load("tweak", "turn").__module__)

    (tmp_path / "plugin.py").write_text(LAYER.replace("x * FACTOR", "x"))
    before = code()
    for name in ("turning", "unrelated"):
        (tmp_path / f"{name}.py").write_text("import late\n")
    named = code()
    assert named != before, "a layer's module counts before it is imported"
    assert code() == named
    (tmp_path / "unrelated.py").write_text("")
    assert code() == named
    (tmp_path / "late.py").write_text("")
    assert code() != named, "what the module imports counts too"


# ---- files of others


@pytest.mark.parametrize("name", ["classes.json", "data.json", "preprocessing.json", "curves.png", "recipe.lock"])
def test_a_folder_with_a_file_of_that_name_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(RecipeError, match="E113"):
        train(tmp_path, "epochs 1")
    assert (tmp_path / name).read_text() == "mine"
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.parametrize("out", ["", "  "])
def test_a_folder_without_a_name_is_refused(out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=r"E113.*the run folder has no name"):
        recipe.run(TINY, out=out, device="cpu")
    assert command("run", TINY, "--out", out).status == 2
    assert not [*tmp_path.iterdir()]


def test_a_pipe_or_a_device_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("pipe", "null"):
        with pytest.raises(RecipeError, match=r"E111.*not a regular file"):
            write_output(tmp_path / name, "text")
        assert not (tmp_path / name).is_file()


# ---- arguments


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"resume": "runs/x"}, TypeError),
        ({"allow_changed": True}, ValueError),
        ({"keep": 1.5}, TypeError),
        ({"keep": "2"}, TypeError),
        ({"save_every": 5}, TypeError),
        ({"device": 0}, TypeError),
        ({"name": "../escape"}, RecipeError),
    ],
)
def test_wrong_arguments_are_told_before_training(
    options: dict[str, object], kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind):
        recipe.run(TINY, **options)  # type: ignore[arg-type]
    assert not [*tmp_path.iterdir()]


# ---- what is shown


def test_an_epoch_without_a_step_in_this_process_shows_no_training_loss(capsys: pytest.CaptureFixture[str]) -> None:
    listener = Plain()
    listener.line = EpochLine(total=6, per_epoch=3, first=3)
    listener.epoch(1, {"top1": 0.5, "loss": 1.0})
    assert "training loss" not in capsys.readouterr().err
    listener.step(4, 2.0, 0.5, 0.1, 9.0)
    listener.epoch(2, {"top1": 0.5, "loss": 1.0})
    assert "training loss 2.0000, top-1 50.00%; held-out loss 1.0000" in (line := capsys.readouterr().err)
    assert line.endswith("; lr 0.1, 9 images/s in training\n")


def test_runs_with_different_teachers_differ(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        (tmp_path / "teacher.recipe").write_text(f"{TINY}; seed {seed}")
        (tmp_path / name).mkdir()
        plan = bind(f'{TINY}; loss distill "teacher.recipe"', folder=tmp_path)
        (tmp_path / name / "recipe.lock").write_text(lock_text(plan))
    done = command("diff", tmp_path / "a", tmp_path / "b", "--exit-code")
    assert done.status == 1
    assert "loss distill" in done.stdout
    assert recipe.diff(tmp_path / "a", tmp_path / "b")


def test_a_recipe_whose_lock_could_not_be_read_is_refused_before_training(tmp_path: Path) -> None:
    steps = " ".join(f"{number}e11" for number in range(1000, 6000))
    with pytest.raises(RecipeError, match=r"E005.*with every value stated"):
        train(tmp_path / "run", f"lr step {steps}")
    assert not (tmp_path / "run").exists()
