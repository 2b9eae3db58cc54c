"""Values that aren't finite stop a training before its weights change. The error names the step and the cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import recipe
from recipe.api import Trick, trick
from recipe.base.errors import Diverged
from recipe.plugins.vocabulary import Offer, Vocabulary
from recipe.training.loop import Loop
from recipe.training.trainer import Trainer
from tests.durability.trials import small
from tests.helpers import command
from tests.runtimes import InFormat

TEXT = "data fake size=32 classes=10 images=24; batch 8; batch micro 4; epochs 2; lr 0.05"


class _BreakGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, what: float) -> Tensor:
        ctx.what = what
        return value.sum() * 0

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return torch.full((4, 10), ctx.what), None


def vocabulary(at: int, kind: str, what: float) -> Vocabulary:
    """Return a vocabulary with a trick that breaks the loss or its gradient in the second micro-batch of a step."""
    parts = [0]

    @trick("loss broken", writes=("loss terms",))
    class Broken(Trick):
        """Break the loss or its gradient at one step."""

        def loss_term(self, context: Any) -> Tensor:
            parts[0] += 1
            if parts[0] != 2 * at:
                return context.logits.sum() * 0  # type: ignore[no-any-return]
            if kind == "loss":
                return context.logits.sum() * 0 + what  # type: ignore[no-any-return]
            found: Tensor = _BreakGradient.apply(context.logits, what)
            return found

    words = Vocabulary([(("loss", "broken"), Offer("theirs", loaded=Broken))])
    words._offers |= Vocabulary.installed()._offers
    return words


@pytest.mark.parametrize("optimizer", ["nag", "adamw", "lars"])
@pytest.mark.parametrize("at", [1, 3, 5])
@pytest.mark.parametrize("what", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_a_training_stops_before_its_weights_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, what: float, at: int, optimizer: str
) -> None:
    trainers: list[Trainer] = []
    run = Loop.run
    monkeypatch.setattr(Loop, "run", lambda self: (trainers.append(self.trainer), run(self))[1])
    words = vocabulary(at, kind, what)
    program = recipe.compile(f"{TEXT}; optimizer {optimizer}; loss broken", base=small(), plugins=words)
    with pytest.raises(Diverged) as error:
        recipe.run(program, out=tmp_path / "run", device="cpu", save_every="1", checkpoints=100, plugins=words)
    cause = f"the loss is {what}" if kind == "loss" else "the gradient of `conv1.weight`"
    assert f"diverged at step {at}: {cause}" in str(error.value)
    saved = sorted((tmp_path / "run" / "checkpoints").glob("*"))
    assert len(saved) == at - 1
    before = torch.load(saved[-1], weights_only=True)["model"] if saved else program.model.state_dict()
    for name, parameter in trainers[0].model.named_parameters():
        assert torch.equal(parameter, before[name]), name
    if saved:
        assert str(saved[-1]) in str(error.value)


SCALED = InFormat(torch.float16, True)
"""fp16 with a loss scaler, which a CPU doesn't use by default."""


@pytest.mark.parametrize("adjusted", ["", "clip 0.5"])
@pytest.mark.parametrize("optimizer", ["nag", "sgd", "adamw", "lars"])
@pytest.mark.parametrize("at", [1, 2])
def test_a_loss_scaler_absorbs_gradients_that_its_scale_makes_infinite(
    tmp_path: Path, at: int, optimizer: str, adjusted: str
) -> None:
    words = vocabulary(at, "gradient", float("inf"))
    text = f"{TEXT}; optimizer {optimizer}; loss broken; {adjusted}"
    program = recipe.compile(text, base=small(), plugins=words)
    heap = [torch.full((100_000,), 7e30) for _ in range(50)]  # garbage in memory, which the optimizer must not use
    del heap
    run = recipe.run(program, out=tmp_path / "run", device="cpu", plugins=words, runtime=SCALED)
    assert run.summary["steps"] == 6
    assert all(value.abs().max() < 100 for value in run.model.parameters())
    state = torch.load(tmp_path / "run" / "checkpoints" / "step-000000006.pt", weights_only=True)
    assert state["scaler"]["scale"] == 2.0**15


def test_a_loss_scaler_does_not_absorb_gradients_that_are_infinite_at_any_scale(tmp_path: Path) -> None:
    @trick("loss broken", writes=("loss terms",))
    class Broken(Trick):
        """Make every gradient infinite."""

        def loss_term(self, context: Any) -> Tensor:
            found: Tensor = _BreakGradient.apply(context.logits, float("inf"))
            return found

    words = Vocabulary([(("loss", "broken"), Offer("theirs", loaded=Broken))])
    words._offers |= Vocabulary.installed()._offers
    program = recipe.compile(f"{TEXT}; epochs 10; loss broken".replace("epochs 2; ", ""), base=small(), plugins=words)
    with pytest.raises(Diverged, match="step 18: gradients are infinite even though the loss scale fell below 1"):
        recipe.run(program, out=tmp_path / "run", device="cpu", plugins=words, runtime=SCALED)


def test_the_command_exits_with_3(tmp_path: Path) -> None:
    text = "base resnet18; data fake size=32 classes=10 images=24; batch 8; epochs 30; lr 1000; init stock"
    found = command("run", text, "--out", tmp_path / "run", "--device", "cpu")
    assert found.status == 3
    assert "error[E112]: training diverged at step" in found.stderr


def test_complex_weights_are_checked_too(tmp_path: Path) -> None:
    class Complex(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(3, 10, dtype=torch.complex64))

        def forward(self, x: Tensor) -> Tensor:
            return (x.mean((2, 3)).to(torch.complex64) @ self.weight).abs()

    program = recipe.compile(f"{TEXT}; optimizer lars; init stock".replace("batch micro 4; ", ""), base=Complex())
    with pytest.warns(UserWarning, match="Casting complex values to real"):
        assert recipe.run(program, out=tmp_path / "run", device="cpu").summary["steps"] == 6
