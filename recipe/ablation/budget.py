"""How many seeds and epochs fit into a time, by what each row takes."""

from __future__ import annotations

import itertools
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import attrs

from recipe.diagnostics import fail
from recipe.plan import Plan

SEEDS = 3
"""How many seeds an ablation has, unless it is told otherwise."""

MOST_SEEDS = 10
STEPS = 4
"""Steps of each row that are timed, after a first one that is not."""


@attrs.frozen
class Budget:
    """What fits: seeds, epochs, and the seconds that they are expected to take."""

    seeds: int
    epochs: int
    seconds: float


def seconds_of(text: str) -> float:
    """Seconds of a time as it is written. Raises `RecipeError` (E127).

    >>> [seconds_of(text) for text in ("90s", "20m", "1.5h")]
    [90.0, 1200.0, 5400.0]
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)", text.strip())
    if not found or float(found[1]) == 0:
        raise fail("E127", f"`{text}` is no time", help="such as `90s`, `20m` or `2h`")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def fit(
    budget: float, startup: float, epochs_of: Sequence[float], epochs: int, seeds: int | None, parallel: int
) -> Budget:
    """The seeds and epochs that fit into a budget, all in seconds.

    ``epochs_of`` is what an epoch of each row takes, ``startup`` what a run takes beside, ``parallel`` how many really
    run at a time. Seeds that are asked for stay; else there are three, more up to ten where the recipe's own epochs
    leave time, or two where not one epoch fits. Raises `RecipeError` (E127) where nothing does.
    """

    def taken(count: int, length: int) -> float:
        return count * (len(epochs_of) * startup + length * sum(epochs_of)) / parallel

    for count in (seeds,) if seeds else (SEEDS, 2):
        lengths = [length for length in range(epochs, 0, -1) if taken(count, length) <= budget]
        if not lengths:
            continue
        most = count
        if not seeds and lengths[0] == epochs:
            most = max(n for n in range(count, MOST_SEEDS + 1) if n == count or taken(n, epochs) <= budget)
        return Budget(most, lengths[0], taken(most, lengths[0]))
    least = taken(seeds or 2, 1)
    help = f"one epoch of each row takes about {least:.0f} s with {seeds or 2} seeds; name fewer rows with --over"
    raise fail("E127", f"the budget of {budget:.0f} s is too short for {len(epochs_of)} rows", help=help)


def startup_seconds() -> float:
    """What a run takes beside its training: to begin as a process that imports what a run does."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-P", "-c", "import recipe.engine"], check=True)
    return time.perf_counter() - began


def epoch_seconds(plan: Plan, device: str | None) -> float:
    """What an epoch of a plan takes on a device, evaluation included, by a few steps of each."""
    import torch

    from recipe.devices import pick, precision
    from recipe.engine import prepare
    from recipe.loading import InOrder
    from recipe.meters import Meter
    from recipe.teachers import teachers_of
    from recipe.trainer import Trainer

    chosen = pick(device)
    sets, program = prepare(plan)
    teachers = {
        one.plan.digest: one.model.to(chosen).eval() for _, one in teachers_of(plan, program.classes, plan.vocabulary)
    }
    trainer = Trainer.make(program, sets, chosen, precision(plan.training.precision, chosen), teachers)
    trainer.model.train()
    meter, taken, began = Meter.on(chosen), list[float](), 0.0
    for batch in itertools.islice(trainer.batches(), STEPS + 1):
        trainer.train_step(batch, meter)
        meter.read(trainer.ranks)  # which waits for the device
        taken.append(time.perf_counter() - began)
        began = time.perf_counter()
    training = statistics.median(taken[1:] or [time.perf_counter() - began]) * trainer.steps_per_epoch
    if not len(sets.test.labels):
        return training
    held_out = InOrder(sets.test, min(trainer.micro or plan.training.batch, 256))
    model, shares = trainer.evaluated.eval(), list[float]()
    with torch.no_grad():
        for place in range(min(3, len(held_out))):
            began = time.perf_counter()
            part = held_out[place]
            assert not isinstance(part, tuple)
            model(trainer.prepare.plain(part)[0]).sum().item()
            shares.append(time.perf_counter() - began)
    return training + statistics.median(shares) * len(held_out)
