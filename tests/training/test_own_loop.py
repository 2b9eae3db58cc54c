"""A training loop of one's own gets what a run gets: batches, loss, rates and optimizer."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

import recipe
from recipe.base.errors import RecipeError
from recipe.testing import small
from tests.training.helpers import TINY, weights_digest

FAKE = "data fake classes=10 images=24 size=32; batch 8; epochs 2"
MANY = "augment flip crop mixup 0.4; loss smooth 0.1; decay 0.01 no-bias; lr warmup 1 cosine; resize 0.5"


def trained(program: recipe.Program, batches: recipe.Batches, first: int = 0) -> torch.nn.Module:
    """Train a copy of a program's model in a loop as docs/guides/python.md shows it."""
    layout = torch.channels_last if program.training.channels_last else torch.contiguous_format
    model = copy.deepcopy(program.model).to(memory_format=layout)
    optimizer = program.optimizer(model)
    for batch in batches.training(first):
        torch.manual_seed(batch.seed)
        program.set_lr(optimizer, batch.step, batches.steps_per_epoch)
        loss = batches.loss(model.train()(batch.images), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


@pytest.mark.parametrize(
    "text", [TINY, f"{TINY}; {MANY}", f"base squeezenet1_1; {FAKE}; lr 0.01"], ids=["plain", "many", "dropout"]
)
def test_a_loop_of_ones_own_ends_with_the_weights_of_a_run(text: str, tmp_path: Path) -> None:
    program = recipe.compile(text)
    run = recipe.run(program, out=tmp_path / "run", device="cpu")
    batches = recipe.batches(program, device="cpu")
    assert batches.not_included == ()
    model = trained(program, batches)
    assert weights_digest(model.train()) == weights_digest(run.model.train())
    right, losses = [], []
    with torch.no_grad():
        for images, classes in batches.evaluation():
            logits = model.eval()(images)
            right.append(logits.argmax(1) == classes)
            losses.append(cross_entropy(logits, classes, reduction="none"))
    assert torch.cat(right).double().mean() == run.summary["top1"]
    assert torch.cat(losses).mean() == pytest.approx(run.summary["loss"], rel=1e-5)


def test_a_batch_depends_only_on_its_step() -> None:
    batches = recipe.batches(recipe.compile(f"{TINY}; augment flip mixup 0.4", device="meta"), device="cpu")
    assert (batches.steps_per_epoch, batches.steps) == (3, 6)
    every, later = [*batches.training()], [*batches.training(4, 9)]
    assert [(batch.step, batch.epoch) for batch in every] == [(step, step // 3) for step in range(6)]
    assert [batch.step for batch in later] == [4, 5]
    assert all(one.images.equal(other.images) for one, other in zip(every[4:], later, strict=True))
    assert (every[0].images.shape, every[0].targets.shape) == ((8, 3, 32, 32), (8, 10))
    assert repr(batches).startswith("Batches(24 training images, ")


def test_what_a_loop_leaves_out_is_named() -> None:
    more = "clip 1; ema 0.9; sam; precision bf16; batch 8 micro 4; keep best; patience 1; epochs 4"
    program = recipe.compile(TINY, more, device="meta")
    left_out = recipe.batches(program, device="cpu").not_included
    assert {*left_out} == {"clip", "ema", "sam", "precision", "batch micro", "keep best", "patience"}


def test_a_program_without_images_is_refused() -> None:
    with pytest.raises(RecipeError, match="names no dataset") as caught:
        recipe.batches(recipe.compile("lr 0.1", base=small(), size=32))
    assert caught.value.diagnostics[0].code == "E131"


def test_a_teacher_is_refused(tmp_path: Path) -> None:
    (tmp_path / "teacher.recipe").write_text(TINY)
    program = recipe.compile(f'{TINY}; loss distill "{tmp_path / "teacher.recipe"}"', device="meta")
    with pytest.raises(RecipeError, match=r"needs the trained teacher `teacher\.recipe`") as caught:
        recipe.batches(program)
    assert caught.value.diagnostics[0].code == "E131"


def test_modes_of_the_caller_do_not_matter() -> None:
    program = recipe.compile(TINY)
    with torch.inference_mode():
        (batch,) = recipe.batches(program, device="cpu").training(0, 1)
        optimizer = program.optimizer()
    assert not batch.images.is_inference()
    assert not any(state["momentum_buffer"].is_inference() for state in optimizer.state.values())


def test_steps_and_outputs_that_do_not_fit_are_refused() -> None:
    batches = recipe.batches(recipe.compile(TINY, device="meta"), device="cpu")
    for steps, name in (((-1,), "first"), ((7,), "first"), ((3, 2), "last")):
        with pytest.raises(ValueError, match=f"`{name}` must be a step"):
            [*batches.training(*steps)]
    (batch,) = batches.training(0, 1)
    with pytest.raises(ValueError, match=r"`outputs` must be logits of the shape \(8, 10\), not \(8, 7\)"):
        batches.loss(torch.zeros(8, 7), batch)
    for outputs, given in ((None, batch), (torch.zeros(8, 10), None)):
        with pytest.raises(TypeError):
            batches.loss(outputs, given)  # type: ignore[arg-type]


LEFT = f"""if True:
    batches = recipe.batches(recipe.compile("{TINY}", "data fake workers=2"), device="cpu")
    training, evaluation = batches.training(), batches.evaluation()
    next(training), next(evaluation)
    kept = recipe.batches(recipe.compile("{TINY}"), device="cpu").training()
"""
FAILED = """if True:
    import torch
    from recipe.inference.batches import load
    from tests.training.test_lost_workers import Odd
    from recipe.plugins.settings import Training
    from recipe.training.loading import Steps
    def fail():
        raise ValueError
    images = Odd(torch.zeros(16, 3, 8, 8, dtype=torch.uint8), torch.zeros(16, dtype=torch.long), what=fail)
    kept = []
    try:
        for batch in load(Steps(images, Training(batch=4), None), range(4), 2, False):
            pass
    except recipe.RecipeError as error:
        kept.append(error)
    assert kept
"""


@pytest.mark.parametrize("code", [LEFT, LEFT.replace("workers=2", "workers=0"), FAILED], ids=["two", "none", "failed"])
def test_python_exits_although_a_caller_keeps_batches_or_an_error(code: str) -> None:
    """Worker processes ignore SIGTERM, so Python waited for them forever."""
    ended = subprocess.run(
        [sys.executable, "-c", f"import recipe\n{code}"], capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stderr) == (0, "")
