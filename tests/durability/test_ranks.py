"""Several processes train like a single one, with the same images, augmentations and losses."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from recipe.api import ParamPlace
from recipe.base.errors import RecipeError
from recipe.devices.sync_batchnorm import _SynchronisedBatchNorm, synchronised
from recipe.runs.held_out import read_held_out
from recipe.runs.reader import read_summary
from recipe.training.loading import share
from tests.durability.processes import together
from tests.durability.rank import main, warm

TEXT = (
    "data fake size=32 classes=10 images=26; batch 8; epochs 2; lr 0.05; "
    "augment crop flip jitter pca-noise mixup cutmix; loss smooth; seed 3"
)
"""An epoch has three whole batches and one of two images."""


def train(
    world: int,
    folder: Path,
    *statements: str,
    stop: int = 0,
    model: str = "plain",
    name: str = "run",
    text: str = TEXT,
) -> int:
    """Train in ``world`` processes, each of which records its images in a file. Return the highest exit code."""

    def given(rank: int) -> tuple[Any, ...]:
        return (str(folder / name), str(folder / f"seen-{rank}"), stop, model, text, *statements)

    return together(world, main, given)


def seen(folder: Path) -> dict[int, list[tuple[int, str]]]:
    """Return the images of all processes for each step, as indices and digests of the pixels."""
    found: dict[int, list[tuple[int, str]]] = {}
    for path in sorted(folder.glob("seen-*")):
        for line in map(json.loads, path.read_text().splitlines()):
            found.setdefault(line["step"], []).extend(zip(line["indices"], line["images"], strict=True))
    return {step: sorted(images) for step, images in found.items()}


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        "",
        "batch micro 2",
        "augment erase trivial; loss bce; optimizer lars; resize 0.8",
        "loss bce until=50%; clip 0.3 from=1; sam until=0.5; freeze gradual 0 0.5 until=1.3; augment erase from=0.75",
        "sam 0.1; clip 0.3; freeze gradual 0.25 0.7; batch micro 2",
    ],
)
def test_two_processes_train_like_one(tmp_path: Path, more: str) -> None:
    for world in (1, 2):
        (tmp_path / str(world)).mkdir()
        assert train(world, tmp_path / str(world), *filter(None, more.split("; "))) == 0
    assert seen(tmp_path / "2") == seen(tmp_path / "1")
    one, two = (metrics(tmp_path / str(world)) for world in (1, 2))
    assert [line["loss"] for line in two] == pytest.approx([line["loss"] for line in one], abs=1e-5)
    assert [line["top1"] for line in two] == [line["top1"] for line in one]
    weights = [load_file(tmp_path / str(world) / "run" / "model.safetensors") for world in (1, 2)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_frozen_norms_make_two_processes_train_like_one(tmp_path: Path) -> None:
    """Normalization by running statistics doesn't depend on how a batch is shared out, and keeps them to the bit.

    Shares of four and three images would round the statistics if they were averaged.
    """
    text, words = TEXT.replace("batch 8", "batch 7"), ("ema 0.9; freeze norms", 'freeze to "conv1"')
    for world in (1, 2):
        (tmp_path / str(world)).mkdir()
        assert train(world, tmp_path / str(world), *words, model="warm", text=text) == 0
    weights = [load_file(tmp_path / str(world) / "run" / "model.safetensors") for world in (1, 2)]
    before = warm().state_dict()
    frozen = {name for name in before if name.startswith("conv1.") or "running" in name or "num_batches" in name}
    for name, tensor in before.items():
        assert torch.equal(weights[1][name], tensor) == (name in frozen or ".bn" in f".{name}" or "sample.1" in name)
        torch.testing.assert_close(weights[1][name], weights[0][name], atol=1e-5, rtol=0)
    lines = [json.loads(line) for line in (tmp_path / "2" / "seen-1").read_text().splitlines()]
    assert not any({"conv1.weight", "bn1.weight", "bn1.bias"} & {*line["trained"]} for line in lines)
    assert all("fc.weight" in line["trained"] for line in lines)
    assert train(2, tmp_path / "2", *words, model="warm", text=text, stop=3, name="cut") == 143
    assert train(2, tmp_path / "2", *words, model="warm", text=text, name="cut") == 0
    files = [(tmp_path / "2" / name / "model.safetensors").read_bytes() for name in ("run", "cut")]
    assert files[0] == files[1]


@pytest.mark.slow
def test_changing_the_number_of_processes_still_uses_each_image_once_per_epoch(tmp_path: Path) -> None:
    assert train(2, tmp_path, stop=2) == 143
    assert train(1, tmp_path, stop=5) == 143
    assert train(2, tmp_path) == 0
    steps = seen(tmp_path)
    (tmp_path / "whole").mkdir()
    assert train(1, tmp_path / "whole") == 0
    assert steps == seen(tmp_path / "whole")
    for epoch in (range(4), range(4, 8)):
        counts = Counter(index for step in epoch for index, _ in steps[step])
        assert counts == Counter(range(26))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "more"),
    [
        (2, "ema 0.9"),
        (3, "ema 0.9"),
        (2, "loss bce until=0.75; clip 0.3 from=0.5; freeze gradual 0 0.9 from=0.75 until=1.3"),
    ],
)
def test_an_interrupted_training_in_several_processes_resumes_to_the_bit(tmp_path: Path, world: int, more: str) -> None:
    assert train(world, tmp_path, more, model="small", name="whole") == 0
    assert train(world, tmp_path, more, model="small", stop=3) == 143
    assert train(world, tmp_path, more, model="small") == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()


@pytest.mark.slow
def test_several_processes_agree_on_the_best_epoch_and_the_end(tmp_path: Path) -> None:
    """Each process evaluates some of the held-out images; the first one has the logits of all."""
    text = TEXT.replace("epochs 2; lr 0.05", "epochs 6; lr 0.5; batch micro 2; keep best by=loss; patience 2")
    for world in (1, 2):
        (tmp_path / str(world)).mkdir()
        assert train(world, tmp_path / str(world), text=text) == 0
    folders = [tmp_path / str(world) / "run" for world in (1, 2)]
    one, two = map(read_summary, folders)
    assert [one[name] for name in ("steps", "kept")] == [two[name] for name in ("steps", "kept")]
    assert (one["best"]["epoch"], one["last"]["epoch"]) == (two["best"]["epoch"], two["last"]["epoch"])
    assert one["best"]["epoch"] < one["last"]["epoch"]
    alone, shared = map(read_held_out, folders)
    assert alone.index.tolist() == shared.index.tolist() == list(range(len(alone.label)))
    assert len(alone.label) > 2, "both processes evaluate some"
    assert alone.label.tolist() == shared.label.tolist()
    assert shared.logits == pytest.approx(alone.logits, abs=1e-4)
    assert train(2, tmp_path / "2", text=text, stop=6, name="cut") == 143
    assert train(2, tmp_path / "2", text=text, name="cut") == 0
    for file in ("model.safetensors", "evaluation.npz"):
        assert (tmp_path / "2" / "cut" / file).read_bytes() == (folders[1] / file).read_bytes()


@pytest.mark.slow
def test_synchronized_norms_see_the_whole_batch(tmp_path: Path) -> None:
    """Two processes train like one with `norm sync`, but not without it."""
    losses = {}
    for name, world, statement in (("one", 1, "norm sync"), ("two", 2, "norm sync"), ("apart", 2, "layout")):
        (tmp_path / name).mkdir()
        assert train(world, tmp_path / name, statement, model="norms") == 0
        losses[name] = [line["loss"] for line in metrics(tmp_path / name) if line["step"] < 4]
    assert losses["two"] == pytest.approx(losses["one"], abs=1e-4)
    assert losses["apart"] != pytest.approx(losses["one"], abs=1e-3)


def test_a_subclass_of_batch_normalization_is_not_synchronized() -> None:
    class WithActivation(nn.BatchNorm2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(input).relu()

    with pytest.raises(RecipeError, match=r"E102.*`1`, which is a WithActivation"):
        synchronised(nn.Sequential(nn.Conv2d(3, 4, 1), WithActivation(4)), torch.device("cpu"))


def test_synchronizing_keeps_the_parameter_groups() -> None:
    from recipe.tricks.decay_no_bias import NoBias

    trick = NoBias(norms="decay")
    model = synchronised(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), torch.device("cpu"))
    place = ParamPlace(head=False, depth=None, layers=0)
    assert trick.param_options("1.weight", model[1].weight, model[1], place) == {}  # type: ignore[index,arg-type]


def test_synchronized_norms_of_one_process_match_torch(tmp_path: Path) -> None:
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.FileStore(str(tmp_path / "s"), 1), rank=0, world_size=1
    )
    try:
        torch.manual_seed(0)
        mine, theirs = nn.BatchNorm2d(5), nn.BatchNorm2d(5)
        mine.__class__ = _SynchronisedBatchNorm  # type: ignore[assignment]
        for _ in range(3):
            x = (100 + 0.05 * torch.randn(4, 5, 6, 7)).requires_grad_()  # its squares hide the deviation
            y = x.detach().clone().requires_grad_()
            weights = torch.randn(4, 5, 6, 7)
            (mine(x) * weights).sum().backward()
            (theirs(y) * weights).sum().backward()
            torch.testing.assert_close(x.grad, y.grad, atol=1e-3, rtol=1e-2)
        for name, tensor in theirs.state_dict().items():
            torch.testing.assert_close(mine.state_dict()[name], tensor, atol=1e-5, rtol=1e-4)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("world", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("images", [1, 2, 3, 4, 7, 8, 9, 64, 65])
def test_shares_contain_each_image_once_and_keep_pairs_together(images: int, world: int) -> None:
    shares = [range(images)[share(images, rank, world)] for rank in range(world)]
    assert [index for one in shares for index in one] == list(range(images))
    for one in shares:
        assert not one or one.start % 2 == 0
        assert len(one) != 1 or images == 1
