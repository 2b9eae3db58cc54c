"""Trainings that are cut, killed and resumed, and what must come of them: the bits of one that ran through."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import recipe
from recipe.base.signals import Interrupted
from recipe.compiler.program import Program
from recipe.devices.precision import Precision
from recipe.plugins.vocabulary import Vocabulary, key_of, words_of
from recipe.testing.harness import Case, Harness
from recipe.testing.interruption import POINTS, Cut, cut_between_parts
from recipe.testing.interruption import digest_of as outcome
from recipe.testing.models import small
from recipe.testing.trick_under_test import TrickUnderTest
from tests import builtins

__all__ = ["BASE", "POINTS", "WORDS", "Cut", "cut_and_resume", "cut_between_parts", "outcome", "small", "train"]

DATA = "data fake size=32 classes=10 images=24"
BASE = f"{DATA}; batch 8; batch micro 4; epochs 2; lr 0.05; lr per 8; augment flip; ema 0.9"
"""Three steps of two parts an epoch, two epochs."""

HALF = "fp16 with a loss scaler"
WORDS = (*map(words_of, Vocabulary.installed().keys()), HALF)
"""Every trick, and what `precision fp16` is on a GPU."""


def program_of(word: str, workers: int, files: Path) -> Program:
    """A recipe with one trick more than the others have, or with its verb's own value."""
    bench = Harness(Vocabulary.installed(), builtins.COMPANY, builtins.values(files))
    loading = f"workers={workers}"
    case = Case((BASE.replace(DATA, f"{DATA} {loading}"),))
    if word == HALF:
        return bench.program(case.over("precision fp16"))
    subject = TrickUnderTest(bench.vocabulary.load(*key_of(word)), bench)
    first = next(subject.cases())
    company = (*first.layers[1:], "epochs 2")
    statement = f"{subject.statement()} {loading}" if subject.overrides("open") else subject.statement()
    return bench.program(Case((*case.layers, *company, statement), first.network))


def train(word: str, workers: int, files: Path, out: Path, **options: Any) -> recipe.Run:
    """Train a recipe with a trick."""
    with _unchecked_files(), _scaled(word):
        return recipe.run(program_of(word, workers, files), out=out, device="cpu", **options)


def _unchecked_files() -> Any:
    return mock.patch.multiple("torchvision.datasets.cifar", check_integrity=lambda *_: True)


def _scaled(word: str) -> Any:
    """On a CPU `precision fp16` runs as bf16; this makes it what it is on a GPU."""

    def half(asked: str, device: torch.device, strict: bool = False) -> Precision:
        return Precision(asked, torch.float16, True, device)

    return mock.patch("recipe.training.engine.precision", half) if word.startswith("fp16") else contextlib.nullcontext()


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
