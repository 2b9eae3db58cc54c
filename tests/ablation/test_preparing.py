"""Preparing an ablation: compile rows, open images, name cells, and report problems before the first run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import recipe
from recipe.ablation.report.screening import Screening
from recipe.base.errors import RecipeError
from recipe.base.wording import summary_line
from recipe.plugins.fingerprint import code_of
from recipe.plugins.vocabulary import Vocabulary
from recipe.testing import small
from tests.ablation.helpers import PLUGIN, MadeUp, execute, made, study
from tests.helpers import vocabulary


def test_dropping_a_trick_that_was_already_applied_is_noted(tmp_path: Path) -> None:
    study = made(tmp_path / "x", "tweak B", mode="drop", over=("tweak B", "loss smooth"))
    assert [line.note for line in study.outline.lines] == ["", "already applied", ""]


def test_a_screening_trains_the_combinations_and_tells_the_effects(tmp_path: Path) -> None:
    study = made(tmp_path / "x", mode="screen", over=("tweak B", "loss smooth", "lr cosine"))
    launcher = MadeUp()
    table = study.run(launcher=launcher)
    assert len({*launcher.ran}) == len(launcher.ran) == 16
    assert isinstance(table, Screening)
    by_label = {effect.label: effect for effect in table.effects}
    top1 = [line.mean or 0 for line in table.lines]
    on = ["loss smooth" in line.label for line in table.lines]
    halves = [[value for value, is_on in zip(top1, on, strict=True) if is_on == half] for half in (True, False)]
    assert by_label["loss smooth"].estimate is not None
    assert by_label["loss smooth"].estimate.mean == pytest.approx(fmean(halves[0]) - fmean(halves[1]))
    assert "In 4 combinations: `tweak B` already applied." in table.notes()
    assert table.to_json() == (tmp_path / "x" / "table.json").read_text()
    again = made(tmp_path / "x", mode="screen", over=("tweak B", "loss smooth", "lr cosine"))
    assert {task.cell().status for task in again.tasks} == {"finished"}
    assert again.table().to_json() == table.to_json()


@pytest.mark.parametrize("mode", ["stack", "drop", "add", "screen"])
def test_every_trick_has_a_sentence_about_what_it_does(mode: str, tmp_path: Path) -> None:
    meanings = made(tmp_path, mode=mode, seeds=1, over=("tweak C D", "loss smooth")).outline.meanings
    assert [*meanings] == ["tweak C D", "loss smooth"]
    sentences = [summary_line(vocabulary().load("tweak", letter)) for letter in "CD"]
    assert meanings["tweak C D"] == " ".join(sentences)


def test_warnings_of_tricks_name_their_rows(tmp_path: Path) -> None:
    study = made(tmp_path / "x", "lr warmup 10", over=("lr warmup",))
    assert len(study.warnings) == 1
    assert study.warnings[0].startswith("Warning for `+ lr warmup`: ")
    assert study.warnings[0] in study.table().notes()


def test_no_row_chooses_its_epoch_by_the_held_out_images(tmp_path: Path) -> None:
    found = made(tmp_path / "x", "epochs 9; keep best by=loss; patience 2", over=("loss smooth",))
    said = "Every row is trained without `keep best` and `patience`, and compared by its last epoch."
    assert found.warnings == (said,)
    assert said in found.table().notes()
    plain = made(tmp_path / "x", "epochs 9", over=("loss smooth",))
    assert [task.name for task in found.tasks] == [task.name for task in plain.tasks]
    with pytest.raises(RecipeError, match="E124"):
        made(tmp_path / "x", over=("keep best",))


def test_the_default_folder_depends_on_the_recipe_and_not_on_the_seeds(tmp_path: Path) -> None:
    folders = {made(None, seeds=seeds).folder for seeds in (1, 4)}  # type: ignore[arg-type]
    folders |= {made(None, "lr 0.1", seeds=1).folder}  # type: ignore[arg-type]
    assert len(folders) == 2
    assert all(folder.parts[0] == "ablations" for folder in folders)


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "letter.txt").write_text("precious")
    with pytest.raises(RecipeError, match=r"E113.*other files"):
        made(tmp_path / "y")
    (tmp_path / "y" / "letter.txt").rename(tmp_path / "letter.txt")
    (tmp_path / "y" / "ablation.json").write_text("[")
    execute(made(tmp_path / "y"), MadeUp())


@pytest.mark.parametrize("how", ["base", "program", "plan"])
def test_a_model_of_your_own_is_refused_with_what_works_instead(how: str, tmp_path: Path) -> None:
    program = recipe.compile("tweak D", base=small(), device="meta")
    given = {"base": "tweak D", "program": program, "plan": program.plan}[how]
    with pytest.raises(RecipeError, match="an ablation can't train a model of your own") as caught:
        recipe.ablate(given, mode="drop", out=tmp_path / "x", base=small() if how == "base" else None)
    (error,) = caught.value.diagnostics
    assert (error.code, "a trick with the hook `build`" in error.help) == ("E102", True)


def test_the_plugins_of_a_plan_are_passed_to_its_runs(tmp_path: Path) -> None:
    file = tmp_path / "dim.py"
    file.write_text(PLUGIN)
    plan = recipe.compile("base resnet18; augment dim; epochs 1", device="meta", plugins=[str(file)]).plan
    assert study(plan, mode="drop", out=tmp_path / "x").plugins == (file,)
    assert study("base resnet18; lr cosine", mode="drop", out=tmp_path / "y").plugins == ()


def test_a_model_with_too_few_outputs_is_reported_before_training(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"E071"):
        made(tmp_path / "x", "base resnet18 classes=5")


def test_changing_the_code_of_a_plugin_makes_another_run(tmp_path: Path) -> None:
    file, names = tmp_path / "dim.py", set()
    student = tmp_path / "student.recipe"
    student.write_text('base resnet18; loss distill "teacher.recipe"; loss smooth')
    (tmp_path / "teacher.recipe").write_text("base resnet18; augment dim")
    for part in ("0.5", "0.5", "0.25"):
        code_of.cache_clear()
        file.write_text(PLUGIN.replace("PART", part))
        words = Vocabulary.installed([file])
        found = study("base resnet18; augment dim", mode="drop", plugins=words)
        taught = study(student, mode="drop", over=("loss smooth",), plugins=words)
        names.add((found.folder, found.cells[0][0].name, taught.cells[0][0].name))
    assert [len({*each}) for each in zip(*names, strict=True)] == [2, 2, 2]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two images of each of two classes, to train on and held out."""
    for part in ("train", "val"):
        for kind in ("cat", "dog"):
            (tmp_path / "photos" / part / kind).mkdir(parents=True)
            for at in range(2):
                Image.new("RGB", (32, 32), (9 * at, 0, 0)).save(tmp_path / "photos" / part / kind / f"{at}.png")
    return tmp_path / "photos"


CHANGES: dict[str, Callable[[Path], object]] = {
    "one more": lambda photos: Image.new("RGB", (32, 32)).save(photos / "train/cat/9.png"),
    "painted over": lambda photos: Image.new("RGB", (32, 32), "red").save(photos / "val/dog/0.png"),
    "of another class": lambda photos: (photos / "train/cat/0.png").replace(photos / "train/dog/9.png"),
    "renamed class": lambda photos: [
        (photos / part / "cat").rename(photos / part / "ape") for part in ("train", "val")
    ],
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_images_make_other_runs(change: str, photos: Path) -> None:
    """A cell is named after its images, so that results on old and new images are never averaged."""

    def cell() -> str:
        text = f'base shufflenet_v2_x0_5; data folder "{photos}" size=32; loss smooth'
        return study(text, mode="drop").cells[0][0].name

    before = cell()
    assert cell() == before
    CHANGES[change](photos)
    assert cell() != before


def test_a_changed_file_of_weights_makes_another_run(tmp_path: Path) -> None:
    """A change at the end of the file, of the same size and at the same time, counts."""
    weights = tmp_path / "w.safetensors"
    model = recipe.compile("base shufflenet_v2_x0_5 classes=10", device="cpu").model
    names = []
    for value in (0.0, 1.0):
        model.get_parameter("fc.bias").data.fill_(value)
        save_file(model.state_dict(), weights)
        os.utime(weights, (0, 0))
        text = f'base shufflenet_v2_x0_5 weights="{weights}"; data fake size=32 classes=10 images=8; loss smooth'
        names.append(study(text, mode="drop").cells[0][0].name)
    assert names[0] != names[1]


def test_a_folder_with_only_a_temporary_file_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / ".ablation.json.abc").write_text("{")
    launcher = MadeUp()
    execute(made(tmp_path / "x", seeds=1), launcher)
    assert launcher.ran


@pytest.mark.parametrize("out", ["file", ""])
def test_invalid_folders_are_rejected(out: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(RecipeError, match=r"E111|E113"):
        made(tmp_path / out if out else "")  # type: ignore[arg-type]


def test_all_rows_are_compiled_before_training(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        made(tmp_path / "x", "base vgg11; drop tweak D", over=("tweak C", "loss smooth", "init zero-gamma"), mode="add")
    said = [one.message for one in caught.value.diagnostics]
    assert [message.split("`")[1] for message in said] == ["+ tweak C", "+ init zero-gamma"]
    assert not (tmp_path / "x").exists()


def test_missing_images_are_reported_before_training(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="E070"):
        made(tmp_path / "x", over=("loss smooth", 'data folder "/nowhere/at/all"'), mode="add")


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_weights_that_can_t_be_loaded_are_reported_before_training(role: str, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    state = recipe.compile("base timm:test_resnet classes=10", device="cpu").model.state_dict()
    state["fc.bias"].fill_(torch.nan)
    save_file(state, weights)
    base = f'base timm:test_resnet weights="{weights}"'
    text = f"{base}; data fake size=32 classes=10 images=16; batch 8; epochs 1; loss smooth"
    if role == "teacher":
        quoted = base.replace('"', '\\"')
        text = f'{text.replace(base, "base timm:test_resnet")}; loss distill "{quoted}"'
    with pytest.raises(RecipeError, match=r"E001.*not finite"):
        study(text, mode="drop", over="loss smooth", seeds=1, out=tmp_path / "x")


def test_an_overridden_trick_is_noted(tmp_path: Path) -> None:
    study = made(tmp_path / "x", over=("optimizer adamw", "optimizer lars"))
    assert [line.note for line in study.outline.lines] == ["", "", "`optimizer adamw` overridden"]


def test_a_budget_conflicts_with_a_study_of_epochs(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"E127.*`epochs` is studied, but `budget=` sets it"):
        study("base resnet18; loss smooth", mode="add", over=("epochs 3",), budget="1h", out=tmp_path / "x")
