"""Trainings whose held-out results follow a script, so that a test decides which epoch is the best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest import mock

import attrs

import recipe
from recipe.testing.harness import weights_digest
from recipe.training.reporting import Listener
from recipe.training.trainer import Evaluation, Trainer
from tests.durability.trials import small
from tests.training.helpers import TINY

DATA = "data fake size=32 classes=10 images=24; batch 8; lr 0.01"
EPOCHS = 5


class Told(Listener):
    """Collects notes, and the weights after each epoch."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@attrs.define
class Script:
    """The results of the evaluation after each epoch, and the digest of the weights that were evaluated."""

    results: Sequence[Mapping[str, float]]
    weights: list[str] = attrs.field(factory=list)
    evaluations: int = 0


@contextmanager
def scripted(**results: Sequence[float]) -> Iterator[Script]:
    """A context in which the evaluation after each epoch has given results, by name. Others stay as they are.

    The same weights have the same results whenever they are evaluated. An evaluation within an epoch has its results.
    """
    lines = [dict(zip(results, values, strict=True)) for values in zip(*results.values(), strict=True)]
    script, evaluate = Script(lines), Trainer.evaluate
    epochs: dict[str, int] = {}

    def evaluated(self: Trainer, stop: Callable[[], bool] = lambda: False, outputs: bool = False) -> Evaluation | None:
        done = evaluate(self, stop, outputs)
        if done is None:
            return None
        script.evaluations += 1
        key = weights_digest(self.eval_model)
        if key not in epochs:
            epochs[key] = -(-self.step // self.steps_per_epoch) - 1
            script.weights.append(key)
        return attrs.evolve(done, result={**done.result, **lines[epochs[key]]})

    with mock.patch.object(Trainer, "evaluate", evaluated):
        yield script


@cache
def _compiled(*statements: str) -> recipe.Program:
    return recipe.compile(f"{DATA}; epochs {EPOCHS}", *statements, base=small())


def train(out: Path, *statements: str, **options: object) -> recipe.Run:
    """Train a small network for `EPOCHS` epochs of three steps each, unless the statements say otherwise."""
    return recipe.run(_compiled(*statements), out=out, device="cpu", **options)  # type: ignore[arg-type]


def train_stock(out: Path, *statements: str, **options: object) -> recipe.Run:
    """Train a stock model in the same way, whose finished run doesn't depend on a module from Python."""
    return recipe.run(TINY, f"epochs {EPOCHS}", *statements, out=out, device="cpu", **options)  # type: ignore[arg-type]
