"""Tests that need a GPU: fp16 with a loss scaler, overlapping copies, skipped fused updates, and memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import recipe
from recipe.base.errors import Diverged
from recipe.devices.precision import precision
from recipe.training.micro_batch import fitting_micro
from recipe.training.setup import prepare
from recipe.training.trainer import Trainer
from tests.durability.test_divergence import TEXT as BROKEN
from tests.durability.test_divergence import vocabulary
from tests.durability.trials import Cut, CutBetweenParts, outcome, small

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
TEXT = (
    "data fake size=32 classes=10 images=192 workers={workers}; batch 8 micro 4; epochs 2; lr 0.05; ema 0.9; "
    "augment crop flip"
)


@pytest.fixture(autouse=True)
def _deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("format", ["fp16", "bf16", "fp32"])
def test_an_interrupted_training_resumes_to_the_bit(tmp_path: Path, format: str, workers: int) -> None:
    text = f"{TEXT.format(workers=workers)}; precision {format}"
    whole = recipe.run(recipe.compile(text, base=small()), out=tmp_path / "whole", device="cuda")
    for point in ("mid-accumulation", "last batch", "epoch boundary"):  # on a GPU only every 20th step is reported
        cut = Cut(point)
        program, between = recipe.compile(text, base=small()), CutBetweenParts(cut)
        with pytest.raises(recipe.Interrupted):
            recipe.run(program, out=tmp_path / point, device="cuda", listener=cut, runtime=between)
        again = recipe.run(recipe.compile(text, base=small()), out=tmp_path / point, device="cuda", resume=True)
        assert outcome(again.folder) == outcome(whole.folder), point


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_values_that_are_not_finite_stop_a_training_on_a_gpu(tmp_path: Path, kind: str) -> None:
    words = vocabulary(3, kind, float("nan"))
    program = recipe.compile(f"{BROKEN}; loss broken", base=small(), plugins=words)
    with pytest.raises(Diverged, match="diverged at step 3"):
        recipe.run(program, out=tmp_path / "run", device="cuda", plugins=words)


def test_the_micro_batch_that_fits_is_found() -> None:
    text = "base resnet50; data fake size=224 classes=10 images=8192; batch 8192 micro auto; epochs 1; precision bf16"
    program = recipe.compile(text)
    sets, program = prepare(program.plan, program)
    device = torch.device("cuda")
    found = fitting_micro(Trainer.make(program, sets, device, precision("bf16", device), {}))
    assert 2 <= found < 8192
