"""`compile`: it trains the same model, resumes with identical bits, and reports failures of torch.compile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor, nn
from torch._inductor import compile_fx

import recipe
from recipe.base.errors import RecipeError
from recipe.devices.distributed import Ranks
from recipe.devices.precision import precision
from recipe.testing import small
from recipe.training import micro_batch as memory
from recipe.training.setup import prepare
from recipe.training.trainer import Trainer
from tests.durability.rank import norms
from tests.durability.trials import Cut
from tests.helpers import diagnostics, errors
from tests.training.helpers import weights_digest

TEXT = "data fake size=32 classes=10 images=24; batch 8; epochs 2; lr 0.05"
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Reset the compiler, so that tests share no graphs."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool | None]:
    """Capture forward and backward graphs as in a run, but skip the slow code generation.

    Return the values of ``dynamic`` in calls of torch.compile.
    """
    compile, told = torch.compile, list[bool | None]()

    def captured(model: nn.Module, mode: str, dynamic: bool | None) -> Any:
        told.append(dynamic)
        return compile(model, backend="aot_eager", dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", captured)
    return told


class Brief(nn.Module):
    """A network with normalization and a shortcut, and with so few layers that generating its code takes seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 8, 3, 2, bias=False), nn.Conv2d(8, 8, 3, 1, 1, bias=False)
        self.norm, self.pool, self.fc = nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.fc(self.pool((x + self.norm(self.conv(x))).relu()).flatten(1))


def brief() -> nn.Module:
    """Return the network, with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Brief()


def train(out: Path, *statements: str, base: Callable[[], nn.Module] = brief, **options: Any) -> recipe.Run:
    return recipe.run(recipe.compile(TEXT, *statements, base=base()), out=out, device="cpu", **options)


@pytest.mark.slow
def test_it_trains_the_same_model(tmp_path: Path) -> None:
    few = "epochs 1; lr 1e-4"  # so that rounding errors don't grow from step to step
    eager, compiled = train(tmp_path / "a", few), train(tmp_path / "b", few, "compile")
    assert compiled.metrics[0]["loss"] == pytest.approx(eager.metrics[0]["loss"], rel=1e-4)
    for a, b in zip(eager.model.parameters(), compiled.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_a_compiled_training_resumes_with_identical_bits_at_a_smaller_last_batch(tmp_path: Path) -> None:
    """The resumed training sees the smaller batch first, and its compiled code must not depend on that."""
    statements = ("batch 10; compile; epochs 1",)
    whole = train(tmp_path / "whole", *statements)
    with pytest.raises(recipe.Interrupted):
        train(tmp_path / "cut", *statements, listener=Cut("mid-epoch"))
    torch._dynamo.reset()  # as in a new process
    again = train(tmp_path / "cut", *statements, resume=True)
    assert weights_digest(again.model) == weights_digest(whole.model)


@pytest.mark.parametrize(
    ("statements", "graphs", "dynamic"),
    [
        (
            "batch 8; freeze gradual 0 from=0.4 until=1; loss bce until=0.5 smooth from=1; sam from=1.5; ema",
            1,
            False,
        ),
        ("batch 8; freeze gradual 0", 1, False),
        ("batch 10", 2, False),
        ("batch 8; sam", 1, False),
        ("batch 8; resize 0.5", 2, None),  # one graph for the first size, another for all others
    ],
)
def test_one_graph_is_compiled_for_each_batch_size(
    tmp_path: Path, asked: list[bool | None], statements: str, graphs: int, dynamic: bool | None
) -> None:
    train(tmp_path / "run", f"compile; {statements}", base=norms)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs
    assert asked == [dynamic]


COMPILE = compile_fx.fx_codegen_and_compile


def fails(backward: bool, *arguments: Any, **named: Any) -> Any:
    """Compile a graph, but fail for backward graphs if ``backward``, and for forward graphs otherwise."""
    if named.get("is_backward", False) is backward:
        raise RuntimeError("no such kernel")
    return COMPILE(*arguments, **named)


@pytest.mark.slow
@pytest.mark.parametrize("backward", [False, True])
def test_a_failure_of_torch_compile_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backward: bool
) -> None:
    """The backward graph is compiled in the first backward pass."""
    monkeypatch.setattr(compile_fx, "fx_codegen_and_compile", partial(fails, backward))
    fresh = torch._inductor.config.patch(fx_graph_cache=False)
    with fresh, torch._functorch.config.patch(enable_autograd_cache=False), pytest.raises(RecipeError) as caught:
        train(tmp_path / "run", "compile")
    (told,) = caught.value.diagnostics
    assert told.code == "E114"
    assert told.message.startswith("torch.compile failed: ")
    assert "no such kernel" in told.message
    assert "drop compile" in told.help


@pytest.mark.parametrize("mode", ["reduce-overhead", "max-autotune"])
@pytest.mark.parametrize("micro", ["micro 4", "micro auto"])
def test_captured_graphs_clash_with_several_micro_batches(mode: str, micro: str) -> None:
    (error,) = diagnostics(f"base resnet18; batch 8 {micro}; compile {mode}")
    assert error.code == "E030"
    assert error.message.startswith(f"`compile {mode}` captures CUDA graphs")
    assert error.span is not None
    assert error.span.text == "compile"
    assert errors(f"base resnet18; batch 8 {micro}; compile") == []
    assert errors(f"base resnet18; batch 8 micro 8; compile {mode}") == []


class Stub(nn.Module):
    """A model that records the shapes of its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(tuple(x.shape))
        return self.scale * x.mean((1, 2, 3))[:, None].expand(-1, 10)


@pytest.mark.parametrize(
    ("statements", "rank", "shape"),
    [
        ("batch 8", 0, (2, 3, 32, 32)),  # no graph depends on the shape
        ("batch 8; compile", 0, (4, 3, 32, 32)),
        ("batch 16 micro 3; compile", 1, (3, 3, 32, 32)),
        ("batch 64; compile", 1, (12, 3, 32, 32)),  # there are only 24 images
        ("batch 10; compile; resize 0.5", 1, (6, 3, 16, 16)),
    ],
)
def test_the_trial_step_of_several_processes_compiles_no_unneeded_graph(
    monkeypatch: pytest.MonkeyPatch, statements: str, rank: int, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr(torch, "compile", lambda model, **options: model)
    program = recipe.compile(TEXT.replace("batch 8; ", ""), statements, base=small())
    sets, program = prepare(program.plan, program)
    trainer = Trainer.make(program, sets, CPU, precision("fp32", CPU), {})
    trainer = attrs.evolve(trainer, ranks=Ranks(rank, 2), parallel=Stub())
    memory.settle(trainer)
    assert trainer.parallel.seen == [shape]  # type: ignore[union-attr]
