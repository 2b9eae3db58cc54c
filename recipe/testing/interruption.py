"""Trainings that are cut and go on, and what must come of them: the bits of one that ran through."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recipe.training.reporting import Listener
from recipe.training.runtime import Runtime

POINTS = ("first step", "mid-accumulation", "mid-epoch", "last batch", "epoch boundary", "second epoch")
"""Where a training of at least three steps an epoch, and two parts a step, can be cut."""


class Cut(Listener):
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


class CutBetweenParts(Runtime):
    """A runtime in which the signal of "mid-accumulation" comes amid the second step, between two of its parts."""

    def __init__(self, cut: Cut) -> None:
        self.cut, self.calls = cut, 0

    def parts(
        self, inputs: Tensor, targets: Tensor, micro: int | None, even: int | None
    ) -> list[tuple[Tensor, Tensor]]:
        self.calls += 1
        cut = Parts(super().parts(inputs, targets, micro, even))
        due = self.calls == 2 and self.cut.point == "mid-accumulation"
        cut.cut = self.cut.now if due else lambda: None
        return cut


def digest_of(folder: Path) -> str:
    """A digest of every bit of a finished run: its last checkpoint, its weights, and its metrics but for speed."""
    found = hashlib.sha256((folder / "model.safetensors").read_bytes())
    state = torch.load(sorted((folder / "checkpoints").glob("step-*.pt"))[-1], weights_only=True)
    del state["epoch_evaluated"]  # a run that was cut in its last evaluation makes up for it without another checkpoint
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
