"""Digests cover what can change a result, and locks state them, with those of teachers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import recipe
from recipe.api import Trick, integer, number, trick
from recipe.base.errors import RecipeError
from recipe.exporters.source_run import open_run
from recipe.plan.plan import Plan
from recipe.runs.recipe_lock import lock_text, open_lock, read_lock
from tests.helpers import ROOT, bind, command, vocabulary, vocabulary_with
from tests.training.helpers import TINY, train

GOLDENS = ROOT / "tests" / "goldens" / "runs"
"""A small run of each format of a run folder that ever was."""


@trick("augment grain")
class Grain(Trick):
    """Add grain."""

    amount: float = number(0.1, "how much")
    note: int = integer(0, "printed in the log", result=False)


@trick("augment grain")
class LaterGrain(Trick):
    """Add grain, in a later version with another field."""

    amount: float = number(0.1, "how much")
    size: float | None = number(None, "of what size; if omitted, as before")
    note: int = integer(0, "printed in the log", result=False)


@trick("record", result=False)
class Record(Trick):
    """Record the training."""


def plan(text: str, *tricks: type[Trick]) -> Plan:
    return bind(f"base resnet18; {text}", words=vocabulary_with(*tricks), data=True)


def test_what_cannot_change_the_result_does_not_count() -> None:
    assert plan("data digits workers=2").digest == plan("data digits").digest
    assert plan("augment grain note=3", Grain).digest == plan("augment grain", Grain).digest
    assert plan("record", Record).digest == plan("seed 0").digest


def test_what_can_change_the_result_counts() -> None:
    texts = ("data digits size=16", "augment grain 0.2", "seed 1", "dialect gluoncv", "batch 8", "precision fp16")
    digests = {plan(text, Grain).digest for text in texts}
    assert len(digests) == len(texts)
    assert plan("seed 0").digest not in digests


def test_a_field_that_a_trick_gets_later_keeps_its_digest() -> None:
    assert plan("augment grain", LaterGrain).digest == plan("augment grain", Grain).digest
    assert plan("augment grain size=2", LaterGrain).digest != plan("augment grain", Grain).digest


def test_workers_may_differ_when_a_run_resumes(tmp_path: Path) -> None:
    train(tmp_path / "run", "data fake size=32 classes=10 images=24 workers=1")
    again = train(tmp_path / "run", resume=True)
    assert again.summary["digest"] == recipe.compile(TINY, device="meta").plan.digest


# ---- locks


def student(folder: Path, seed: int = 0) -> Plan:
    (folder / "teacher.recipe").write_text(f"{TINY}; seed {seed}")
    return bind(f'{TINY}; loss distill "teacher.recipe"', folder=folder)


def test_a_lock_states_the_digests_of_its_plan_and_its_teachers(tmp_path: Path) -> None:
    made = student(tmp_path)
    (tmp_path / "recipe.lock").write_text(lock_text(made))
    (tmp_path / "teacher.recipe").unlink()
    lock = open_lock(tmp_path)
    assert lock.digest == made.digest
    assert lock.plan(vocabulary()).digest == made.digest, "the teacher isn't read"
    assert lock.plan(vocabulary()) == made


def test_an_edited_lock_is_refused(tmp_path: Path) -> None:
    text = lock_text(bind(TINY))
    for edited in (text.replace("seed number=0", "seed number=1"), text.replace("# text ", "# texts "), text + "#"):
        (tmp_path / "recipe.lock").write_text(edited)
        lock = read_lock(tmp_path)
        assert lock is not None
        assert lock.edited
        with pytest.raises(RecipeError, match=r"E120.*has been edited since the run started"):
            open_lock(tmp_path)


def test_a_changed_teacher_is_reported_when_a_lock_is_run(tmp_path: Path) -> None:
    (tmp_path / "recipe.lock").write_text(lock_text(student(tmp_path)))
    same = command("run", tmp_path / "recipe.lock", "--dry-run")
    assert (same.status, "differs" in same.stderr) == (0, False)
    student(tmp_path, seed=1)
    changed = command("run", tmp_path / "recipe.lock", "--dry-run")
    assert changed.status == 0
    assert "warning: this differs from the run in" in changed.stderr
    assert "the teacher `teacher.recipe`, whose recipe has changed" in changed.stderr


# ---- folders of earlier releases


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDENS.iterdir()))
def test_a_run_folder_of_every_format_opens(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(GOLDENS / name, tmp_path / name)
    run = open_run(folder, vocabulary())
    assert (run.base, run.size) == ("timm:test_efficientnet", 32)
    assert run.classes.count == (2 if name == "images-v3" else 10)
    done = command("export", folder, "--to", "safetensors")
    assert (done.status, done.stdout) == (0, f"{name}.safetensors\n"), done.stderr
    assert ("without recording its classes" in done.stderr) == (name == "plan-v1")


def test_an_old_lock_is_compared_by_what_it_means(tmp_path: Path) -> None:
    now = bind(TINY)
    (tmp_path / "recipe.lock").write_text(f"# plan 0123456789abcdef\n{now.canonical()}")
    lock = read_lock(tmp_path)
    assert lock is not None
    assert lock.old
    assert lock.digest_now(vocabulary()) == now.digest != lock.digest
