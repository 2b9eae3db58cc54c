"""Estimates of the time that a training takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from recipe.base.errors import RecipeError
from recipe.devices.precision import precision
from recipe.plan.bind import resolve
from recipe.training import estimate
from recipe.training.estimate import Timing, estimated, measure
from recipe.training.setup import prepare
from recipe.training.teachers import teachers_of
from recipe.training.trainer import Trainer
from tests.durability.photos import with_broken_images
from tests.helpers import command
from tests.training.helpers import TINY, train

CPU = torch.device("cpu")


def sentence(text: str, near: Path, step: int = 0, max_time: float | None = None) -> str:
    plan = resolve(text, data=True)
    sets, program = prepare(plan)
    return estimated(program, sets, teachers_of(plan, program.classes), CPU, near, step, max_time)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes two seconds, and an evaluation ten."""
    monkeypatch.setattr(estimate, "measure", lambda *given, **options: Timing(0.0, 2.0, 10.0, 8, 3))


def test_a_few_steps_and_batches_are_measured() -> None:
    plan = resolve(TINY, data=True)
    sets, program = prepare(plan)
    before = {name: tensor.clone() for name, tensor in program.model.state_dict().items()}
    timing = measure(program, sets, [], CPU)
    assert (timing.steps, timing.batches) == (6, 1), "the run has six steps, and one batch of held-out images"
    assert 0 < timing.step < 60
    assert 0 < timing.evaluation < 60
    assert all(torch.equal(before[name], tensor) for name, tensor in program.model.state_dict().items())


def test_little_is_measured_if_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = resolve(TINY, data=True)
    sets, program = prepare(plan)
    monkeypatch.setattr(estimate, "_part_of_step", lambda trainer, batch, enough: (4, batch * enough / 4))
    assert measure(program, sets, [], CPU, patience=8.0).steps == 6
    monkeypatch.setattr(Trainer, "train_step", lambda *given: pytest.fail("a whole step is trained"))
    monkeypatch.setattr(estimate, "_part_of_step", lambda trainer, batch, enough: (4, 2.0))
    timing = measure(program, sets, [], CPU, patience=7.9)
    assert (timing.step, timing.steps, timing.batches, timing.images) == (4.0, 0, 0, 4)


@pytest.mark.parametrize(("seconds", "images"), [(0.05, 2), (0.03, 4), (0.001, 8)])
def test_the_part_of_a_step_that_is_measured_takes_a_while(
    seconds: float, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def step(trainer: Trainer, images: int) -> None:
        now[0] += seconds * images

    plan = resolve(TINY, data=True)
    sets, program = prepare(plan)
    monkeypatch.setattr(estimate, "try_step", step)
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: now[0])
    trainer = Trainer.make(program, sets, CPU, precision("fp32", CPU), {})
    assert estimate._part_of_step(trainer, 8, 0.1) == (images, pytest.approx(seconds * images))


def test_the_sentence_states_how_it_was_measured(timed: None, tmp_path: Path) -> None:
    how = "; measured with 8 steps of 2 s and 3 batches of evaluation"
    assert sentence(TINY, tmp_path) == f"estimated time: 0:32 on cpu{how}"
    assert sentence(TINY, tmp_path, step=4) == f"estimated time: 0:14 on cpu{how}"
    assert sentence(f"{TINY}; compile", tmp_path).endswith(f"{how}, without `torch.compile`")


def test_the_time_limit_is_taken_into_account(timed: None, tmp_path: Path) -> None:
    assert "--max-time" not in sentence(TINY, tmp_path, max_time=32.0)
    assert sentence(TINY, tmp_path, max_time=20.0).endswith(
        "; with --max-time, it ends early, after about 0.62 of 2 epochs"
    )


def test_teachers_that_are_trained_first_count(timed: None, tmp_path: Path) -> None:
    teacher = tmp_path / "teacher.recipe"
    teacher.write_text(TINY)
    text = f'{TINY}; loss distill "{teacher}"'
    said = "estimated time: 1:04 on cpu, 0:32 of them for teachers that are trained first; measured"
    assert sentence(text, tmp_path / "runs").startswith(said)
    train(tmp_path / "runs" / "teacher")
    assert sentence(text, tmp_path / "runs").startswith("estimated time: 0:32 on cpu; measured")


def test_a_dry_run_prints_it_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("run", TINY, "--dry-run", "--device", "cpu")
    assert (done.status, done.stdout) == (0, "")
    pattern = r"^estimated time: 0:\d\d on cpu; measured with \d steps of [\d.]+ s and a batch of evaluation$"
    assert re.search(pattern, done.stderr, re.MULTILINE), done.stderr
    assert [*tmp_path.iterdir()] == []
    several = command("run", TINY, "--dry-run", "--device", "cpu", "--nproc", "2")
    assert "no estimated time: it is measured in one process, not in 2" in several.stderr


def test_an_error_of_the_training_is_one_of_the_dry_run(tmp_path: Path) -> None:
    done = command("run", TINY, "batch 1", "--dry-run", "--device", "cpu", "--out", tmp_path / "run")
    assert (done.status, "error[E103]" in done.stderr) == (2, True)
    with pytest.raises(RecipeError, match="E103"):
        train(tmp_path / "run", "batch 1")


@pytest.mark.parametrize("patience", [None, 0.001])
def test_held_out_images_that_are_skipped_are_not_timed(tmp_path: Path, patience: float | None) -> None:
    photos = with_broken_images(tmp_path)
    for name in ("cat/0", "cat/1"):
        (photos / "val" / f"{name}.jpg").write_bytes(b"")
    text = (
        f'base shufflenet_v2_x0_5; data folder "{photos}" size=32 workers=0 on-error=skip; batch 2; epochs 1; lr 0.01'
    )
    plan = resolve(text, data=True)
    sets, program = prepare(plan)
    timing = measure(program, sets, [], CPU, patience)
    assert timing.evaluation > 0
    assert timing.batches == (1 if patience is None else 0)
    (photos / "val" / "dog" / "0.jpg").write_bytes(b"")
    with pytest.raises(RecipeError, match=r"E070.*no held-out image can be read"):
        measure(program, sets, [], CPU)
