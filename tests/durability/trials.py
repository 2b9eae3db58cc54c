"""Trainings that are cut, killed and resumed, and what must come of them: the bits of one that ran through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

import recipe
from recipe.base.signals import Interrupted
from recipe.compiler.program import Program
from recipe.devices.precision import Precision
from recipe.plugins.vocabulary import Vocabulary, words_of
from recipe.testing.harness import Case, Harness
from recipe.testing.models import small
from recipe.testing.rules.resume import Cut
from recipe.testing.rules.resume import digest_of as outcome
from recipe.testing.trick_under_test import TrickUnderTest
from recipe.training.runtime import Runtime
from tests import builtins

__all__ = ["BASE", "POINTS", "WORDS", "Cut", "CutBetweenParts", "cut_and_resume", "outcome", "small", "train"]

DATA = "data fake size=32 classes=10 images=24"
BASE = f"{DATA}; batch 8; batch micro 4; epochs 2; lr 0.05; lr per 8; augment flip; ema 0.9"
"""Three steps of two parts an epoch, two epochs."""

HALF = "fp16 with a loss scaler"
WORDS = (*map(words_of, Vocabulary.installed().keys()), HALF)
"""Every trick, and what `precision fp16` is on a GPU."""


POINTS = ("first step", "mid-accumulation", "mid-epoch", "last batch", "epoch boundary", "second epoch")
"""Where a training of at least three steps an epoch, and two parts a step, can be cut."""


class Parts(list[tuple[Tensor, Tensor]]):
    """The parts of a batch; between the first and the second comes the signal."""

    cut: Callable[[], None]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for place, part in enumerate(super().__iter__()):
            if place:
                self.cut()
            yield part


class CutBetweenParts(Runtime):
    """A runtime in which the signal of "mid-accumulation" comes between two parts of a step, the second or later."""

    def __init__(self, cut: Cut) -> None:
        self.cut, self.calls, self.done = cut, 0, False

    def parts(
        self, inputs: Tensor, targets: Tensor, micro: int | None, even: int | None
    ) -> list[tuple[Tensor, Tensor]]:
        self.calls += 1
        cut = Parts(super().parts(inputs, targets, micro, even))
        due = self.calls > 1 and len(cut) > 1 and not self.done and self.cut.point == "mid-accumulation"
        self.done = self.done or due
        cut.cut = self.cut.now if due else lambda: None
        return cut


def program_of(word: str, workers: int, files: Path) -> Program:
    """A recipe with one trick more than the others have, or with its verb's own value."""
    bench = Harness(Vocabulary.installed(), builtins.COMPANY, builtins.values(files))
    loading = f"workers={workers}"
    case = Case((BASE.replace(DATA, f"{DATA} {loading}"),))
    if word == HALF:
        return bench.program(case.over("precision fp16"))
    subject = TrickUnderTest(word, bench)
    first = next(subject.cases())
    company = (*first.layers[1:], "epochs 2")
    statement = f"{subject.statement()} {loading}" if subject.overrides("open") else subject.statement()
    return bench.program(Case((*case.layers, *company, statement), first.network))


class Trial(CutBetweenParts):
    """A runtime in which `HALF` is what `precision fp16` is on a GPU; on a CPU it would run as bf16."""

    def __init__(self, word: str, cut: Cut | None) -> None:
        super().__init__(cut or Cut("nowhere"))
        self.word = word

    def precision(self, asked: str, device: torch.device, strict: bool) -> Precision:
        if self.word == HALF:
            return Precision(asked, torch.float16, True, device)
        return super().precision(asked, device, strict)


def train(word: str, workers: int, files: Path, out: Path, cut: Cut | None = None, resume: bool = False) -> recipe.Run:
    """Train a recipe with a trick."""
    with builtins.unchecked_files():
        program = program_of(word, workers, files)
        return recipe.run(program, out=out, device="cpu", listener=cut, resume=resume, runtime=Trial(word, cut))


def cut_and_resume(word: str, point: str, workers: int, files: Path, out: Path) -> str:
    """Train a trick, cut it at a point, resume it; the outcome. Fails where nothing was cut."""
    try:
        train(word, workers, files, out, Cut(point))
    except Interrupted:
        pass
    else:
        raise AssertionError(f"{word} was not cut at {point}")
    return outcome(train(word, workers, files, out, resume=True).folder)
