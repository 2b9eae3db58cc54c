"""Trainings small enough for tests, and what is compared of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

import recipe
from recipe.engine import Run

TINY = "base resnet18; data fake size=32 classes=10 images=24; batch 8; epochs 2; lr 0.05"
"""Three steps an epoch, two epochs."""


def train(out: Path, *statements: str, text: str = TINY, **options: object) -> Run:
    return recipe.run(text, *statements, out=out, device="cpu", **options)  # type: ignore[arg-type]


def weights_digest(model: torch.nn.Module) -> str:
    """A digest of every bit of a model's state, and of how it lies in memory."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.stride()}".encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
