"""Trainings small enough for tests, and digests to compare them."""

from __future__ import annotations

from pathlib import Path

import recipe
from recipe.inference.run import Run
from recipe.testing.harness import weights_digest

__all__ = ["TINY", "train", "weights_digest"]

TINY = "base timm:test_resnet; data fake size=32 classes=10 images=24; batch 8; epochs 2; lr 0.01"
"""A training of two epochs with three steps each."""


def train(out: Path, *statements: str, text: str = TINY, **options: object) -> Run:
    return recipe.run(text, *statements, out=out, device="cpu", **options)  # type: ignore[arg-type]
