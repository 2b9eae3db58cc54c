"""Teachers that are used as they are: the folder of a run, and pretrained weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

import recipe
from recipe.base.errors import RecipeError
from recipe.base.source import Source
from recipe.data.fingerprint import Fingerprint
from recipe.devices.distributed import Ranks
from recipe.language.recipe_input import read
from recipe.plan.bind import bind, resolve
from recipe.runs.provenance import Classes, Data, Preprocessing, Provenance, read_provenance
from recipe.runs.recipe_lock import lock_text
from recipe.training.given_teachers import order_of
from recipe.training.teachers import find_teachers, named_teachers, teachers_of
from tests.helpers import command
from tests.inference.helpers import paint, recipe_of
from tests.training.helpers import train
from tests.training.test_distillation import Notes

DATA = "data fake size=32 classes=10 images=16; batch 8; epochs 1"


def teacher_run(folder: Path, *statements: str) -> Path:
    train(folder, *statements, text=f"base timm:test_resnet; {DATA}; lr 1e-3")
    return folder


def student(teacher: str) -> str:
    quoted = teacher.replace('"', '\\"')
    return f'base timm:test_resnet; {DATA}; loss distill "{quoted}"'


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights with ten outputs."""
    path = tmp_path_factory.mktemp("weights") / "ten.safetensors"
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet", num_classes=10).state_dict(), path)
    return path


def test_a_run_is_used_as_it_is(tmp_path: Path) -> None:
    run, notes = teacher_run(tmp_path / "elsewhere" / "teacher"), Notes()
    before = sorted(path.name for path in run.parent.iterdir())
    text = student(str(run))
    made = train(tmp_path / "runs" / "a", text=text, listener=notes)
    assert any(note.startswith(f"teacher teacher: using the run {run} as it is (finished)") for note in notes.notes)
    assert sorted(path.name for path in run.parent.iterdir()) == before
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]  # nothing else was trained
    provenance = read_provenance(made.folder)
    assert provenance is not None
    before_weights = provenance.data.files[f"teacher {run}"]
    assert len(before_weights) == 16
    lock = (made.folder / "recipe.lock").read_text()
    assert f'"{run}"' in lock.splitlines()[2]
    assert recipe.load(made.folder, device="cpu").digest == bind([read(made.folder / "recipe.lock")], data=True).digest
    teacher_run(run.with_name("other"), "seed 1")
    run.rename(run.with_name("gone"))
    assert recipe.load(made.folder, device="cpu").status == "finished"  # opening reads no teacher
    run.with_name("other").rename(run)
    with pytest.raises(RecipeError, match=r"E113"):
        train(made.folder, "epochs 2", text=text, resume=True)


def test_a_stopped_run_is_used_from_its_last_checkpoint(tmp_path: Path) -> None:
    run, notes = teacher_run(tmp_path / "teacher"), Notes()
    (run / "summary.json").unlink()
    train(tmp_path / "runs" / "a", text=student(str(run)), listener=notes)
    assert any("as it is (stopped: its checkpoint of step 2 is used)" in note for note in notes.notes)
    assert not (run / "summary.json").exists()


def test_pretrained_weights_are_never_trained(weights: Path, tmp_path: Path) -> None:
    for name, given in {
        "text": f'base timm:test_resnet weights="{weights}"',
        "file": str(tmp_path / "pretrained.recipe"),
    }.items():
        (tmp_path / "pretrained.recipe").write_text(f'base timm:test_resnet weights="{weights}"\n')
        notes = Notes()
        made = train(tmp_path / name / "student", text=student(given), listener=notes)
        called = f'base timm:test_resnet weights="{weights}"' if name == "text" else "pretrained.recipe"
        told = f"teacher {called}: using its pretrained weights as they are, without training it"
        assert any(note.startswith(told) for note in notes.notes)
        assert any("it sees images of 160 pixels, resized from the student's" in note for note in notes.notes)
        assert [path.name for path in (tmp_path / name).iterdir()] == ["student"]
        assert bind([read(made.folder / "recipe.lock")], data=True).digest == made.summary["digest"]
    one, other = (load_file(tmp_path / name / "student" / "model.safetensors") for name in ("text", "file"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("option", ["--strict", "--dry-run"])
def test_other_weights_of_a_teacher_are_refused_before_a_run_resumes(
    option: str, weights: Path, tmp_path: Path
) -> None:
    file = tmp_path / "teacher.safetensors"
    save_file(load_file(weights), file)
    text = student(f'base timm:test_resnet weights="{file}"')
    made = train(tmp_path / "student", text=text)
    (made.folder / "summary.json").unlink()  # as if it was stopped after its last checkpoint
    save_file({name: tensor + 1 for name, tensor in load_file(weights).items()}, file)
    done = command("run", text, "--resume", str(made.folder), "--device", "cpu", option)
    assert done.status == 2
    assert "error[E113]: the data has changed since the run" in done.stderr
    assert f'the file of `teacher dialect paper; base timm:test_resnet weights="{file}"` is different' in done.stderr


@pytest.mark.parametrize("drops", ["drop input", "drop input; drop evaluation"])
def test_the_text_of_a_teacher_keeps_what_it_drops(drops: str, weights: Path) -> None:
    plan = bind([Source("text", student(f'base timm:test_resnet classes=10 weights="{weights}"; {drops}'), Path.cwd())])
    (named,) = named_teachers(plan)
    assert named.plan.digest == named.file.digest
    assert named.plan.training.mean is None
    assert bind([Source("lock", plan.canonical(), Path.cwd())]).digest == plan.digest


def test_the_teacher_sees_its_own_size_and_normalization(weights: Path) -> None:
    plan = resolve(student(f'base timm:test_resnet classes=10 weights="{weights}"'))
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.6, 0.8)
    empty = Fingerprint(images=0, labels="", contents="", sampled=False)
    own = Provenance(Classes(10, ()), Preprocessing(32, None, mean, std), Data(empty, empty, {}))
    found, _ = find_teachers(
        plan, own, teachers_of(plan, 10), Path(), torch.device("cpu"), lambda *given: None, Notes(), Ranks()
    )
    model = timm.create_model("test_resnet", num_classes=10, checkpoint_path=str(weights)).eval()
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    ours = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    bigger = torch.nn.functional.interpolate(pixels, (160, 160), mode="bilinear", antialias=True)
    (teach,) = found.values()
    with torch.no_grad():
        torch.testing.assert_close(teach(ours), model((bigger - 0.5) / 0.5), rtol=1e-4, atol=1e-5)


def test_other_classes_are_refused_by_name(weights: Path, tmp_path: Path) -> None:
    for part in ("train", "val"):
        for seed, name in enumerate(("blue", "green", "red")):
            paint(tmp_path / "photos" / part / name, name, 3, seed)
    run = recipe.run(recipe_of(tmp_path / "photos", epochs=1), out=tmp_path / "run", device="cpu")
    (tmp_path / "photos" / "train" / "red").rename(tmp_path / "photos" / "train" / "apple")
    (tmp_path / "photos" / "val" / "red").rename(tmp_path / "photos" / "val" / "apple")
    text = f'{recipe_of(tmp_path / "photos", epochs=1)}; loss distill "{run.folder}"'
    done = command("run", text, "--out", str(tmp_path / "student"), "--dry-run", "--device", "cpu")
    assert "error[E072]" in done.stderr
    assert "no output for the class `apple`" in done.stderr
    wide = f'base timm:test_resnet classes=10 weights="{weights}"'.replace('"', '\\"')
    done = command("run", f'{recipe_of(tmp_path / "photos")}; loss distill "{wide}"', "--dry-run", "--device", "cpu")
    assert "has 10 classes, but the student has 3" in done.stderr
    assert "help: train the teacher on the classes of the student" in done.stderr


def test_outputs_without_a_name_stay_in_order(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for seed, name in enumerate(("blue", "green", "red")):
            paint(tmp_path / "photos" / part / name, name, 3, seed)
    text = recipe_of(tmp_path / "photos", epochs=1).replace("base squeezenet1_1", "base timm:test_resnet classes=5")
    run = recipe.run(text, out=tmp_path / "run", device="cpu")
    plan = resolve(f'{text}; loss distill "{run.folder}"')
    ((named, _),) = teachers_of(plan, 5, ("blue", "green", "red"))
    assert order_of(named, ("blue", "green", "red"), 5) == (None, [])
    assert order_of(named, ("red", "blue", "green"), 5) == ([2, 0, 1, 3, 4], [])
    with pytest.raises(RecipeError, match=r"names 3 outputs, but the student has names for only 2 of 5 outputs"):
        teachers_of(plan, 5, ("blue", "green"))
    made = recipe.run(f'{text}; loss distill "{run.folder}"', out=tmp_path / "s", device="cpu")
    assert made.summary["status"] == "finished"


def test_check_reports_a_teacher_that_does_not_exist_and_takes_those_that_do(weights: Path, tmp_path: Path) -> None:
    good = tmp_path / "good.recipe"
    good.write_text(student(f'base timm:test_resnet weights="{weights}"'))
    assert command("check", str(good)).status == 0
    good.write_text(student(str(tmp_path / "nothing")))
    assert "nothing` does not exist" in command("check", str(good)).stdout
    good.write_text(student("base timm:test_resnet wieghts=DEFAULT"))
    assert "error[E060]" in command("check", str(good)).stdout


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("epochs count=1", "epochs count=2", "E120"),
        ("# text ", "# texts ", "E120"),
        ("# plan v2", "# plan v9", "E060"),
        ("", "", ""),
    ],
)
def test_check_reports_a_teacher_whose_lock_is_not_that_of_its_run(
    tmp_path: Path, before: str, after: str, code: str
) -> None:
    lock = tmp_path / "run" / "recipe.lock"
    lock.parent.mkdir()
    lock.write_text(lock_text(resolve(f"base timm:test_resnet; {DATA}")).replace(before, after))
    (tmp_path / "student.recipe").write_text(student("run"))
    done = command("check", str(tmp_path / "student.recipe"))
    assert (f"error[{code}]" in done.stdout, done.status) == ((True, 2) if code else (False, 0))


@pytest.mark.parametrize(
    ("teacher", "code", "said"),
    [
        ("runs/my teacher", "E001", "`runs/my teacher` does not exist"),
        ("./my teacher", "E001", "`./my teacher` does not exist"),
        ("my teacher", "E060", "no file or folder has this name, so it is read as the text of a recipe"),
        ("runs/teacher; epochs 3", "E060", "no file or folder has this name, so it is read as the text of a recipe"),
    ],
)
def test_a_missing_teacher_is_not_only_reported_as_a_recipe_with_mistakes(teacher: str, code: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        resolve(student(teacher))
    error = caught.value.diagnostics[0]
    assert (error.code, said in (error.message, error.help)) == (code, True)


def test_a_text_with_paths_in_quotes_is_a_recipe(weights: Path) -> None:
    assert resolve(student(f'base timm:test_resnet weights="{weights}"')).digest
