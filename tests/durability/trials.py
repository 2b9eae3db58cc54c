"""Trainings that are interrupted and resumed. They must give the same bits as an uninterrupted one."""

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
from tests import builtins
from tests.runtimes import Undrawn

__all__ = ["BASE", "POINTS", "WORDS", "Cut", "CutBetweenParts", "cut_and_resume", "outcome", "small", "train"]

DATA = "data fake size=32 classes=10 images=24"
BASE = f"{DATA}; batch 8; batch micro 4; epochs 2; lr 0.05; lr per 8; augment flip; ema 0.9"
"""Two epochs of three steps, each with two micro-batches."""

HALF = "fp16 with a loss scaler"
WORDS = (*map(words_of, Vocabulary.installed().keys()), HALF)
"""Every trick, and what `precision fp16` means on a GPU."""


POINTS = ("first step", "mid-accumulation", "mid-epoch", "last batch", "epoch boundary", "second epoch")
"""Where to interrupt a training with at least three steps per epoch and two micro-batches per step."""


class Parts(list[tuple[Tensor, Tensor]]):
    """The micro-batches of a step. ``cut`` is called between them."""

    cut: Callable[[], None]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for place, part in enumerate(super().__iter__()):
            if place:
                self.cut()
            yield part


class CutBetweenParts(Undrawn):
    """A runtime that interrupts at "mid-accumulation": between the micro-batches of the second step or a later one."""

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


def bench_of(files: Path) -> Harness:
    """Return a harness for the built-in tricks, with the files that some of them read."""
    return Harness(Vocabulary.installed(), builtins.COMPANY, builtins.values(files))


def program_of(word: str, workers: int, files: Path, more: str = "") -> Program:
    """Compile the base recipe with a trick added, and with more after it, such as its span."""
    bench, loading = bench_of(files), f"workers={workers}"
    case = Case((BASE.replace(DATA, f"{DATA} {loading}"),))
    if word == HALF:
        return bench.program(case.over("precision fp16"))
    subject = TrickUnderTest(word, bench)
    first = next(subject.cases())
    company = (*first.layers[1:], "epochs 2")
    statement = f"{subject.statement()} {loading}" if subject.overrides("open") else subject.statement()
    return bench.program(Case((*case.layers, *company, f"{statement} {more}"), first.network))


class Trial(CutBetweenParts):
    """A runtime that runs `HALF` as `precision fp16` runs on a GPU. A CPU would run it as bf16."""

    def __init__(self, word: str, cut: Cut | None) -> None:
        super().__init__(cut or Cut("nowhere"))
        self.word = word

    def precision(self, asked: str, device: torch.device, strict: bool) -> Precision:
        if self.word == HALF:
            return Precision(asked, torch.float16, True, device)
        return super().precision(asked, device, strict)


def train(word: str, workers: int, files: Path, out: Path, cut: Cut | None = None, resume: bool = False) -> recipe.Run:
    """Train the base recipe with a trick added."""
    with builtins.unchecked_files():
        program = program_of(word, workers, files)
        return recipe.run(program, out=out, device="cpu", listener=cut, resume=resume, runtime=Trial(word, cut))


def cut_and_resume(word: str, point: str, workers: int, files: Path, out: Path) -> str:
    """Interrupt a training at a point, resume it and return the outcome. Fail if it was not interrupted."""
    try:
        train(word, workers, files, out, Cut(point))
    except Interrupted:
        pass
    else:
        raise AssertionError(f"{word} was not interrupted at {point}")
    return outcome(train(word, workers, files, out, resume=True).folder)
