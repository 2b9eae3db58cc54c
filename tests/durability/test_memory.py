"""`batch N micro auto` finds a micro-batch that fits into memory."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
import torch

import recipe
from recipe.devices.precision import precision
from recipe.plugins.calling import fault_of
from recipe.training import micro_batch as memory
from recipe.training.setup import prepare
from recipe.training.trainer import Trainer
from recipe.tricks.ema import Ema
from tests.durability.trials import Cut, outcome, small

TEXT = "data fake size=32 classes=10 images=48; batch 24 micro auto; epochs 1; lr 0.05; ema 0.9"


def trainer() -> Trainer:
    sets, program = prepare((compiled := recipe.compile(TEXT, base=small())).plan, compiled)
    device = torch.device("cpu")
    return Trainer.make(program, sets, device, precision("fp32", device), {})


def test_the_whole_batch_is_used_if_it_fits(tmp_path: Path) -> None:
    run = recipe.run(recipe.compile(TEXT, base=small()), out=tmp_path / "run", device="cpu")
    note = "batch micro auto: a whole batch fits; batch normalization averages over 24 images"
    assert note in run.summary["notes"]


def test_a_micro_batch_is_used_and_reported_if_memory_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = memory._activations(trainer(), 2) / 2
    monkeypatch.setattr(memory, "free_memory", lambda: int(one * 8 / memory.SPARE))
    run = recipe.run(recipe.compile(TEXT, base=small()), out=tmp_path / "auto", device="cpu")
    assert (
        "batch micro auto: 6 images fit at a time; batch normalization averages over 6 images" in run.summary["notes"]
    )
    fixed = recipe.run(recipe.compile(TEXT.replace("auto", "6"), base=small()), out=tmp_path / "fixed", device="cpu")
    for name, tensor in fixed.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], tensor), name


def test_a_resumed_run_keeps_its_micro_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = memory._activations(trainer(), 2) / 2
    monkeypatch.setattr(memory, "free_memory", lambda: int(one * 8 / memory.SPARE))
    whole = recipe.run(recipe.compile(TEXT, base=small()), out=tmp_path / "whole", device="cpu")
    with pytest.raises(recipe.Interrupted):
        recipe.run(recipe.compile(TEXT, base=small()), out=tmp_path / "cut", device="cpu", listener=Cut("first step"))
    monkeypatch.setattr(memory, "free_memory", lambda: 10**12)
    resumed = recipe.run(recipe.compile(TEXT, base=small()), out=tmp_path / "cut", device="cpu", resume=True)
    assert outcome(resumed.folder) == outcome(whole.folder)


@pytest.mark.parametrize(("limit", "free"), [("1000000", 400_000), ("max", None), (None, None), ("5000", 0)])
def test_the_limit_of_a_container_counts(
    limit: str | None, free: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    if limit:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text("700000\n")
        (tmp_path / "memory.stat").write_text("active_file 5\ninactive_file 100000\n")
    found = memory.free_memory()
    assert found is not None
    assert found == free if free is not None else found > 10**6


CERTAIN = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
)
LIKELY = (
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("FIND was unable to find an engine to execute this computation"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
)


def on_a_gpu(monkeypatch: pytest.MonkeyPatch, most: int, error: Exception) -> tuple[Trainer, list[int]]:
    """Return a trainer on a device that fails above ``most`` images, and the list of sizes that it tries."""
    tried: list[int] = []

    def step(one: Trainer, images: int, share: int) -> None:
        tried.append(images)
        if images > most:
            raise error

    found = trainer()
    monkeypatch.setattr(memory, "_try", step)
    monkeypatch.setattr(found, "device", torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    return found, tried


@pytest.mark.parametrize("error", [*CERTAIN, *LIKELY], ids=str)
def test_a_micro_batch_that_does_not_fit_is_halved(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    found, tried = on_a_gpu(monkeypatch, 5, error)
    assert memory.fitting_micro(found) == 3
    assert tried == [24, 12, 6, 3]


@pytest.mark.parametrize("error", [CERTAIN[0], LIKELY[0]], ids=str)
def test_if_two_images_do_not_fit_the_error_of_the_device_is_raised(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    found, tried = on_a_gpu(monkeypatch, 0, error)
    with pytest.raises(RuntimeError) as caught:
        memory.fitting_micro(found)
    assert caught.value is error
    assert tried[-1] == 2


def test_other_errors_do_not_count_as_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    found, tried = on_a_gpu(monkeypatch, 5, RuntimeError("CUDA error: device-side assert triggered"))
    with pytest.raises(RuntimeError, match="device-side assert"):
        memory.fitting_micro(found)
    assert tried == [24]


@pytest.mark.parametrize("error", CERTAIN, ids=str)
def test_too_little_memory_is_reported_whichever_library_raises_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(Trainer, "train_step", mock.Mock(side_effect=error))
    with pytest.raises(recipe.RecipeError, match=r"E115.*`cpu` has too little memory"):
        recipe.run(recipe.compile(TEXT, base=small()), out=tmp_path / "run", device="cpu")


@pytest.mark.parametrize("error", LIKELY, ids=str)
def test_what_may_be_too_little_memory_is_reported_as_a_possibility(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(Trainer, "train_step", mock.Mock(side_effect=error))
    with pytest.raises(recipe.RecipeError) as caught:
        recipe.run(recipe.compile(TEXT, base=small()), out=tmp_path / "run", device="cpu")
    (told,) = caught.value.diagnostics
    assert told.code == "E115"
    assert told.message == f"`cpu` failed, possibly because its memory is full: RuntimeError: {error}"


@pytest.mark.parametrize("error", LIKELY, ids=str)
def test_a_possible_lack_of_memory_in_a_trick_halves_the_micro_batch(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """For example, a teacher computes within a hook."""
    found, tried = on_a_gpu(monkeypatch, 5, error)
    step = memory._try

    def hooked(one: Trainer, images: int, share: int) -> None:
        with fault_of(one.plan.hooked("average")[0], "average"):
            step(one, images, share)

    monkeypatch.setattr(memory, "_try", hooked)
    assert memory.fitting_micro(found) == 3
    assert tried == [24, 12, 6, 3]


def test_too_little_memory_within_a_hook_is_not_an_error_in_its_trick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ema, "average", mock.Mock(side_effect=CERTAIN[3]))
    with pytest.raises(recipe.RecipeError, match="E115"):
        recipe.run(recipe.compile(TEXT, base=small()), out=tmp_path / "run", device="cpu")


def test_trying_leaves_nothing_behind() -> None:
    one = trainer()
    before = {name: tensor.clone() for name, tensor in one.model.state_dict().items()}
    memory._try(one, 4, 8)
    assert all(torch.equal(before[name], tensor) for name, tensor in one.model.state_dict().items())
    assert all(parameter.grad is None for parameter in one.model.parameters())
