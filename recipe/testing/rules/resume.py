"""``resume``: an interrupted and resumed run ends with the same bits as an uninterrupted one."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._pytree import keystr, tree_flatten_with_path

from recipe.base.errors import Diverged
from recipe.base.signals import Interrupted
from recipe.compiler.program import Program
from recipe.testing.findings import Skipped, Unmet
from recipe.testing.harness import Quick, one_thread
from recipe.testing.inputs import seeded
from recipe.testing.trick_under_test import TrickUnderTest
from recipe.training.api import run
from recipe.training.reporting import Listener


class Cut(Listener):
    """Send SIGINT to this process at a given point of its training."""

    def __init__(self, point: str) -> None:
        self.point, self.per_epoch, self.done = point, 0, False

    def now(self) -> None:
        if not self.done:
            self.done = True
            os.kill(os.getpid(), signal.SIGINT)

    def start(self, program: Program, folder: Path, step: int, steps: int, steps_per_epoch: int) -> None:
        self.per_epoch = steps_per_epoch

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        at = {"first step": 1, "mid-epoch": 2, "last batch": self.per_epoch, "second epoch": self.per_epoch + 1}
        if step == at.get(self.point):
            self.now()

    def epoch(self, number: int, result: dict[str, float]) -> None:
        if self.point == "epoch boundary":
            self.now()


def digest_of(folder: Path) -> str:
    """Return a digest of every bit of a finished run: its last checkpoint, weights, and metrics other than speed."""
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes())
    state = torch.load(sorted((folder / "checkpoints").glob("step-*.pt"))[-1], weights_only=True)
    del state["epoch_evaluated"]  # a run interrupted in its last evaluation redoes it without another checkpoint
    values, _ = tree_flatten_with_path(state)
    digest.update(repr(sorted((keystr(path), _bits(value)) for path, value in values)).encode())
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        metrics = {name: value for name, value in json.loads(line).items() if name != "images_per_second"}
        digest.update(json.dumps(metrics).encode())
    return digest.hexdigest()


def _bits(value: object) -> str:
    if not isinstance(value, Tensor):
        return repr(value)
    data = value.contiguous().flatten().view(torch.uint8).numpy().tobytes() if value.numel() else b""
    return f"{value.dtype}{tuple(value.shape)}{hashlib.sha256(data).hexdigest()}"


POINTS = {"mid-epoch": "first step", "epoch boundary": "epoch boundary"}
"""The points at which a run with two steps per epoch is interrupted, by their names in messages."""


def resume(subject: TrickUnderTest) -> None:
    """Check that a run interrupted within an epoch or between two resumes to the same bits.

    Another run trains in between, because any state that a trick keeps for itself would be lost with its process.
    """
    if threading.current_thread() is not threading.main_thread():
        raise Skipped("runs are interrupted by a signal, which only the main thread receives")
    bench, within = subject.bench, subject.within
    if bench.plan(within).training.epochs < 2:
        within = within.over("epochs 2")
    program = bench.program(within)

    @one_thread()
    def train(out: Path, cut: Cut | None = None, resume: bool = False) -> None:
        run(program, out=out, device="cpu", listener=cut, resume=resume, plugins=bench.vocabulary, runtime=Quick())

    with bench.place() as out:
        for point, at in POINTS.items():
            try:
                train(out / point, Cut(at))
            except Interrupted:
                continue
            except Diverged:
                raise Skipped("the run diverges before it can be interrupted") from None
            except KeyboardInterrupt:  # the signal arrived after the end of the run and was passed on
                pass
            raise Skipped(f"the run ends before it can be interrupted ({point})")
        train(out / "whole")
        for point in POINTS:
            train(out / point, resume=True)
            if digest_of(out / point) != digest_of(out / "whole"):
                with seeded(1):
                    again = bench.outcome(within, fresh=True)
                if again != bench.outcome(within):
                    raise Skipped("training twice already gives different results, see `deterministic`")
                raise Unmet(
                    f"`{within}` does not resume bit for bit after an interruption ({point}); "
                    "keep no state in hooks, and compute results from the arguments alone"
                )
