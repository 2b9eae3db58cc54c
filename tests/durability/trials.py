"""Trainings that are cut, killed and resumed, and what must come of them: the bits of one that ran through."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

import recipe
from recipe import trainer as training
from recipe.devices import Precision
from recipe.report import Quiet
from recipe.signals import Interrupted
from tests.engine.words import COMPANY, KEYS, PRESENT, over, statement

DATA = "data fake size=32 classes=10 images=24"
BASE = f"{DATA}; batch 8; batch micro 4; epochs 2; lr 0.05; lr per 8; augment flip; ema 0.9"
"""Three steps of two parts an epoch, two epochs."""


class Block(nn.Module):
    """A bottleneck with a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, stride, 1, bias=False), nn.BatchNorm2d(4)
        self.conv3, self.bn3 = nn.Conv2d(4, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(out)))))
        return self.relu(out + self.downsample(x))  # type: ignore[no-any-return]


class Small(nn.Module):
    """A residual network that every tweak of the paper finds a place in."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        self.layer1, self.layer2 = Block(8, 8, 1), Block(8, 16, 2)
        self.drop, self.fc = nn.Dropout(0.1), nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(self.drop(self.layer2(self.layer1(x)).mean((2, 3))))  # type: ignore[no-any-return]


def small(classes: int = 10) -> Small:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Small(classes)


POINTS = ("first step", "mid-accumulation", "mid-epoch", "last batch", "epoch boundary", "second epoch")
WORDS = (*(" ".join(filter(None, key)) for key in KEYS), "fp16 with a loss scaler")
"""Every trick, and what `precision fp16` is on a GPU."""


class Cut(Quiet):
    """Sends SIGINT to this process at a point of its training."""

    def __init__(self, point: str) -> None:
        self.point, self.per_epoch, self.done = point, 0, False

    def now(self) -> None:
        if not self.done:
            self.done = True
            os.kill(os.getpid(), signal.SIGINT)

    def start(self, program: Any, folder: Path, step: int, steps: int, steps_per_epoch: int) -> None:
        self.per_epoch = steps_per_epoch

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        at = {"first step": 1, "mid-epoch": 2, "last batch": self.per_epoch, "second epoch": self.per_epoch + 1}
        if step == at.get(self.point):
            self.now()

    def epoch(self, number: int, result: dict[str, float]) -> None:
        if self.point == "epoch boundary":
            self.now()


class Parts(list[tuple[Tensor, Tensor]]):
    """The parts of a batch; between the first and the second comes the signal."""

    cut: Callable[[], None]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for place, part in enumerate(super().__iter__()):
            if place:
                self.cut()
            yield part


def cut_between_parts(cut: Cut) -> Any:
    """A context in which the signal comes amid the second step, between two of its parts."""
    calls, parts = [0], training.parts

    def counted(*arguments: Any) -> list[tuple[Tensor, Tensor]]:
        found = Parts(parts(*arguments))
        calls[0] += 1
        found.cut = cut.now if calls[0] == 2 else lambda: None
        return found

    return mock.patch.object(training, "parts", counted)


def text_of(word: str, workers: int, files: Path) -> str:
    """A recipe with one trick more than the others have, or with its verb's own value."""
    text = BASE
    if word.startswith("fp16"):
        text += "; precision fp16"
    else:
        for one in (*COMPANY.get(word, "seed 0").split("; "), PRESENT.get(word, "seed 0"), statement(word, files)):
            if one not in ("epochs 1", "init stock") and not one.startswith("base "):
                text = over(text, one)
    if word == "data fake":
        text += " classes=10"
    return "; ".join(f"{one} workers={workers}" if one.startswith("data ") else one for one in text.split("; "))


BASES = {"base": "base resnet18", "loss": "base googlenet", "loss aux": "base googlenet"}
"""Tricks that show in another model than ours alone."""


def train(word: str, workers: int, files: Path, out: Path, **options: Any) -> recipe.Run:
    """Train a recipe with a trick."""
    text = text_of(word, workers, files)
    with _unchecked_files(), _scaled(word):
        if word in BASES:
            return recipe.run(f"{BASES[word]}; {text}", out=out, device="cpu", **options)
        return recipe.run(recipe.compile(text, base=small()), out=out, device="cpu", **options)


def _unchecked_files() -> Any:
    return mock.patch.multiple("torchvision.datasets.cifar", check_integrity=lambda *_: True)


def _scaled(word: str) -> Any:
    """On a CPU `precision fp16` runs as bf16; this makes it what it is on a GPU."""

    def half(asked: str, device: torch.device, strict: bool = False) -> Precision:
        return Precision(asked, torch.float16, True, device)

    return mock.patch("recipe.engine.precision", half) if word.startswith("fp16") else contextlib.nullcontext()


def outcome(folder: Path) -> str:
    """A digest of every bit of a finished run: its last checkpoint, its weights, and its metrics but for speed."""
    found = hashlib.sha256((folder / "model.safetensors").read_bytes())
    state = torch.load(sorted((folder / "checkpoints").glob("step-*.pt"))[-1], weights_only=True)
    del state["evaluated"]  # a run that was cut in its last evaluation makes up for it without another checkpoint
    found.update(repr(sorted(_leaves("", state))).encode())
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        values = {name: value for name, value in json.loads(line).items() if name != "images_per_second"}
        found.update(json.dumps(values).encode())
    return found.hexdigest()


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(f"{name}/{key}", part)
    elif isinstance(value, Tensor):
        data = value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes() if value.numel() else b""
        yield name, f"{value.dtype}{tuple(value.shape)}{hashlib.sha256(data).hexdigest()}"
    else:
        yield name, repr(value)


def cut_and_resume(word: str, point: str, workers: int, files: Path, out: Path) -> str:
    """Train a trick, cut it at a point, resume it; the outcome. Fails where nothing was cut."""
    cut = Cut(point)
    aside = cut_between_parts(cut) if point == "mid-accumulation" else contextlib.nullcontext()
    try:
        with aside:
            train(word, workers, files, out, listener=cut)
    except Interrupted:
        pass
    else:
        raise AssertionError(f"{word} was not cut at {point}")
    return outcome(train(word, workers, files, out, resume=True).folder)
