"""Settings of the training benchmarks: their size and their recipes."""

from __future__ import annotations

import os

import attrs
import torch

SIZE = 224
FAST = "precision bf16; layout channels-last"
DEEP = "base resnet50; tweak C D"
FED = f"base resnet50; augment crop flip; optimizer sgd; lr 0.01; decay 1e-4; {FAST}"


@attrs.frozen
class Settings:
    """The size of the benchmarks. ``steps`` is the number of steps per turn."""

    batch: int = 8
    steps: int = 1
    rounds: int = 7
    photos: int = 160
    fed_steps: int = 2
    fed_rounds: int = 4
    lead: int = 1
    workers: tuple[int, ...] = (0, 2)
    trick_batch: int = 8
    trick_steps: int = 1
    trick_rounds: int = 9
    host_rounds: int = 15

    @classmethod
    def of(cls, device: torch.device, quick: bool) -> Settings:
        if quick:
            little = {"steps": 1, "rounds": 1, "photos": 24, "fed_steps": 1, "fed_rounds": 1, "lead": 1}
            return cls(batch=4, trick_batch=4, trick_rounds=1, host_rounds=1, **little)
        if device.type == "cuda":
            cores = os.cpu_count() or 2
            larger = {"photos": 2048, "fed_steps": 20, "lead": 10, "workers": (0, cores // 2, cores)}
            return cls(batch=128, steps=20, trick_batch=256, trick_steps=20, **larger)
        return cls()
