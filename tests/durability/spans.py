"""Interrupt trainings in which tricks act in a span, or parts of the model are frozen, and compare the bits at the end.

python -m tests.durability.spans TRIALS SEED FOLDER prints one line of JSON. 0 trials means all of them. Each trick that
takes a span is interrupted before, in and after its span and at both edges, in one process, in two, and compiled.
Compiled models run without generated code, to save time.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import nn

import recipe
from recipe.base.signals import Interrupted
from recipe.compiler.program import Program
from recipe.plugins.vocabulary import Vocabulary, words_of
from recipe.testing.harness import Case
from recipe.testing.rules.resume import Cut
from recipe.testing.rules.resume import digest_of as outcome
from tests import builtins
from tests.durability.processes import together
from tests.durability.trials import BASE, bench_of, program_of
from tests.helpers import arguments
from tests.runtimes import Undrawn

SPANS = ("from=30% until=60%", "until=0.5", "from=1")
"""The third and fourth of six steps; the first two, to the middle of an epoch; the second of two epochs."""

STEPS = (1, 2, 3, 4, 5)
"""How many of the six steps come before the interruption."""

WAYS = ("one process", "two processes", "compiled")

WORDS = Vocabulary.installed()
LIMITED = [*map(words_of, filter(lambda key: WORDS.load(*key).declared.spans, WORDS.keys()))]
"""The tricks that take a span."""

FROZEN = (
    "freeze body",
    'freeze to "layer1"',
    "freeze norms",
    "freeze gradual 0 0.9",
    "freeze body until=0.5",
    "freeze body until=1",
    'freeze to "layer1" from=0.5; freeze norms until=60%',
    "freeze gradual 0 0.9 until=1.3",
    "lr head 10",
    "lr layers 0.5",
    "freeze body until=0.5; lr head 10 layers 0.5",
)

COMPANY = ("", "optimizer adamw; lr 1e-3", "optimizer lars", "sam 0.1; clip 0.3", "precision bf16; decay 0.1 no-bias")
"""What freezing might interfere with."""


@attrs.frozen
class Subject:
    """A training: a trick and its span, or statements that freeze, and how the training runs."""

    words: str
    span: str
    way: str

    def __str__(self) -> str:
        return f"`{f'{self.words} {self.span}'.strip()}`, {self.way}"

    @property
    def world(self) -> int:
        return 1 + (self.way == "two processes")

    def program(self, files: Path) -> Program:
        """Compile the recipe of the training."""
        more = "compile" if self.way == "compiled" else ""
        if self.span:
            return program_of(self.words, 0, files, f"{self.span}; {more}")
        return bench_of(files).program(Case((BASE,)).over(self.words, more))


FREEZING = [(f"{words}; {more}".strip("; "), "") for words in FROZEN for more in COMPANY]

ALL = [
    (Subject(words, span, way), stop)
    for (words, span), way in itertools.product([*itertools.product(LIMITED, SPANS), *FREEZING], WAYS)
    for stop in STEPS[way == "two processes" :]
]


class After(Cut):
    """Interrupt a training after a number of steps. Several processes agree on a signal one step after it arrives."""

    def __init__(self, steps: int, world: int) -> None:
        super().__init__("")
        self.at, self.several = steps - (world > 1), world > 1

    def step(self, step: int, loss: float, top1: float, rate: float, speed: float) -> None:
        if step == self.at and not (self.several and step == self.per_epoch):
            self.now()

    def epoch(self, number: int, result: dict[str, float]) -> None:
        if number * self.per_epoch == self.at:  # a signal before the evaluation would end the training at once
            self.now()


class Compiling(Undrawn):
    """A runtime that traces models and their gradients as `torch.compile` does, but generates no code."""

    def compile(self, model: nn.Module, mode: str | None, dynamic: bool | None) -> Any:
        torch._dynamo.reset()
        return torch.compile(model, backend="aot_eager", dynamic=dynamic)


def train(subject: Subject, files: Path, out: Path, stop: int = 0, resume: bool = False) -> None:
    """Train in this process, and stop after a number of steps if it is not 0. Raises `Interrupted` then."""
    cut = After(stop, subject.world) if stop else None
    with builtins.unchecked_files():
        recipe.run(subject.program(files), out=out, device="cpu", listener=cut, resume=resume, runtime=Compiling())


def main_of(environment: dict[str, str], *given: Any) -> None:
    """Train as the process that the environment variables describe."""
    os.environ |= environment
    torch.set_num_threads(1)
    try:
        train(*given)
    except Interrupted as stopped:
        sys.exit(128 + stopped.number)


def trained(subject: Subject, files: Path, out: Path, stop: int = 0, resume: bool = False) -> bool:
    """Train, and return whether the training was interrupted."""
    if subject.world == 1:
        try:
            train(subject, files, out, stop, resume)
        except Interrupted:
            return True
        return False
    code = together(subject.world, main_of, lambda rank: (subject, files, out, stop, resume))
    if code not in (0, 128 + signal.SIGINT):
        raise AssertionError(f"a process ended with exit code {code}")
    return code != 0


def cut_and_resume(subject: Subject, files: Path, out: Path, stop: int) -> str:
    """Interrupt a training after a number of steps, resume it and return the outcome."""
    if not trained(subject, files, out, stop):
        raise AssertionError("the training was not interrupted")
    saved = max(path.stem for path in (out / "checkpoints").glob("step-*.pt"))
    assert saved == f"step-{stop:09d}", f"the last checkpoint is {saved}, not of step {stop}"
    trained(subject, files, out, resume=True)
    return outcome(out)


def main(trials: int, seed: int, folder: Path) -> dict[str, Any]:
    torch.set_num_threads(1)
    files = folder / "files"
    files.mkdir(parents=True)
    builtins.write_files(files)
    chosen = sorted(random.Random(seed).sample(ALL, trials), key=ALL.index) if trials else ALL
    report: dict[str, Any] = {"trials": 0, "equal": 0, "wrong": []}
    for subject, cuts in itertools.groupby(chosen, key=lambda trial: trial[0]):
        try:
            trained(subject, files, folder / "whole")
            whole = outcome(folder / "whole")
            for _, stop in cuts:
                report["trials"] += 1
                if cut_and_resume(subject, files, folder / "cut", stop) == whole:
                    report["equal"] += 1
                else:
                    report["wrong"].append(f"{subject}, interrupted after step {stop}")
                shutil.rmtree(folder / "cut")
        except Exception as error:
            report["wrong"].append(f"{subject}: {type(error).__name__}: {error}")
            shutil.rmtree(folder / "cut", ignore_errors=True)
        shutil.rmtree(folder / "whole", ignore_errors=True)
    return report


if __name__ == "__main__":
    from tests.durability.spans import main as checked  # other processes look subjects up under this name

    print(json.dumps(checked(*arguments(__doc__))))
