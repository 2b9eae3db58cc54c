"""One of several processes that train together. It records the images it trains on. Run by test_ranks.py."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import scipy.special  # noqa: F401 (imported before forking, to save time)
import torch
import torchvision  # noqa: F401
from torch import nn

import recipe
from recipe.base.signals import Interrupted
from recipe.inference.batches import Batch
from recipe.training.meters import Meter
from recipe.training.reporting import Listener
from recipe.training.trainer import Trainer
from tests.durability.trials import small
from tests.runtimes import Undrawn


def plain() -> nn.Module:
    """Return a network without batch normalization, whose loss doesn't depend on how a batch is shared out."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(16, 10),
    )  # fmt: skip


def norms() -> nn.Module:
    """Return a network with batch normalization and without randomness."""
    found = small()
    found.drop = nn.Dropout(0)
    return found


def warm() -> nn.Module:
    """Return the same network with running statistics, as after a training."""
    found = norms()
    torch.manual_seed(1)
    for layer in found.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 2)  # type: ignore[arg-type]
    return found


MODELS = {"plain": plain, "norms": norms, "warm": warm, "small": small}


class Stop(Listener):
    """Stop the first process after a step."""

    def __init__(self, at: int) -> None:
        self.at = at

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        if step == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


def main(environment: dict[str, str], out: str, record: str, stop: int, model: str, *statements: str) -> None:
    """Train until step ``stop`` (0: to the end), as the process that the environment variables describe."""
    os.environ |= environment
    torch.set_num_threads(1)
    step = Trainer.train_step
    with Path(record).open("a") as file:

        def recorded(self: Trainer, batch: Batch, meter: Meter) -> float:
            inputs, _ = self.prepare(batch)
            images = [hashlib.sha256(one.contiguous().numpy().tobytes()).hexdigest()[:16] for one in inputs]
            if batch.counted:
                asking = [name for name, each in self.model.named_parameters() if each.requires_grad]
                seen = {"step": self.step, "indices": batch.indices.tolist(), "images": images, "trained": asking}
                file.write(json.dumps(seen) + "\n")
                file.flush()
            return step(self, batch, meter)

        Trainer.train_step = recorded  # type: ignore[method-assign]
        program = recipe.compile("; ".join(statements), base=MODELS[model]())
        try:
            recipe.run(program, out=out, device="cpu", resume=True, listener=Stop(stop), runtime=Undrawn())
        except Interrupted as stopped:
            sys.exit(128 + stopped.number)
