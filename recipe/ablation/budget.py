"""How many seeds and epochs fit into a time, by what each row takes."""

from __future__ import annotations

import bisect
import heapq
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import attrs
import torch

from recipe.ablation.launchers import Workers
from recipe.base.errors import RecipeError, fail
from recipe.base.wording import parse_duration, plural
from recipe.devices import choice
from recipe.devices.precision import precision
from recipe.plan.plan import Plan
from recipe.training.engine import told_plainly
from recipe.training.loading import Batch
from recipe.training.meters import Meter
from recipe.training.micro_batch import fitting_micro
from recipe.training.setup import prepare
from recipe.training.teachers import named_teachers, teachers_of, teaching
from recipe.training.trainer import Trainer
from recipe.training.trial import step_seconds

SEEDS = 3
"""How many seeds an ablation has, unless it is told otherwise."""

MOST_SEEDS = 10
PLACES = 4
"""Places of a training at which a step is timed; tricks may make some of them shorter."""


@attrs.frozen
class Budget:
    """What fits: seeds, epochs, and the seconds that they are expected to take."""

    seeds: int
    epochs: int
    seconds: float


def seconds_of(text: str) -> float:
    """The seconds of a budget as it is written. Raises `RecipeError` (E127)."""
    seconds = parse_duration(text)
    if seconds is None:
        raise fail("E127", f"`{text}` is no time", help="such as `90s`, `20m` or `2h`")
    return seconds


def fit(
    budget: float,
    startup: float,
    epochs_of: Sequence[float],
    epochs: int,
    seeds: int | None,
    parallel: int,
    before: float = 0.0,
) -> Budget:
    """The seeds and epochs that fit into a budget; times are in seconds. Raises `RecipeError` (E127) where none do.

    ``epochs_of`` is what an epoch of each row takes, ``startup`` what a run takes beside, ``parallel`` how many really
    run at a time, ``before`` what is trained first. Seeds that are asked for stay; else there are three, more up to ten
    where the recipe's own epochs leave time, or two where not one epoch fits.
    """

    def taken(count: int, length: int) -> float:
        """Until the last run ends: each begins when one of those side by side has ended."""
        ends = [before] * parallel
        for each in [*epochs_of] * count:
            heapq.heapreplace(ends, ends[0] + startup + length * each)
        return max(ends)

    for count in (seeds,) if seeds else (SEEDS, 2):
        length = bisect.bisect_right(range(1, epochs + 1), budget, key=lambda length: taken(count, length))
        if length:
            more = range(count + 1, MOST_SEEDS + 1) if not seeds and length == epochs else ()
            most = max([count, *(number for number in more if taken(number, epochs) <= budget)])
            return Budget(most, length, taken(most, length))
    least = taken(seeds or 2, 1)
    help = f"one epoch of each row takes about {least:.0f} s with {seeds or 2} seeds; name fewer rows with --over"
    raise fail("E127", f"the budget of {budget:.0f} s is too short for {len(epochs_of)} rows", help=help)


def planned(
    plans: Sequence[Plan],
    budget: str,
    seeds: int | None,
    workers: Workers,
    before: Budget | None,
    tell: Callable[[str], None],
) -> Budget:
    """Seeds and epochs of some rows that fit into a budget: as they were planned before, else by timing each row."""
    if before is not None:
        tell(f"as planned before: {plural(before.seeds, 'seed')}, {plural(before.epochs, 'epoch')}")
        return before
    seconds = seconds_of(budget)
    tell(f"timing {len(plans)} rows for the budget of {budget}")
    with told_plainly(choice.pick(workers.device)):
        times = {plan.digest: run_seconds(plan, workers.device) for plan in plans}
        named = (teacher for plan in plans for _, _, teacher in named_teachers(plan))
        teachers = {teacher.digest: teacher for teacher in named}
        first = {digest: run_seconds(plan, workers.device) for digest, plan in teachers.items()}
    startup = startup_seconds() + statistics.fmean(until for until, _ in times.values())
    trained = sum(startup + teachers[digest].training.epochs * epoch for digest, (_, epoch) in first.items())
    each, epochs = [epoch for _, epoch in times.values()], plans[0].training.epochs
    fitting = fit(seconds, startup, each, epochs, seeds, workers.parallel, trained)
    fewer = f", of the recipe's {epochs}" if fitting.epochs < epochs else ""
    runs = plural(len(times) * fitting.seeds + len(teachers), "run")
    length = f"{plural(fitting.seeds, 'seed')}, {plural(fitting.epochs, 'epoch')}{fewer}"
    tell(f"planned: {length}; {runs}, about {fitting.seconds / 60:.1f} min")
    return fitting


def startup_seconds() -> float:
    """What a run takes beside its training: to begin as a process that imports what a run does."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-P", "-c", "import recipe.training.engine"], check=True)
    return time.perf_counter() - began


def run_seconds(plan: Plan, device: str | None) -> tuple[float, float]:
    """What a run of a plan takes until its first step, once all is imported, and for an epoch, evaluation included.

    An epoch is known by a few steps of each. What it took of a GPU's memory is free again.
    """
    chosen, began = choice.pick(device), time.perf_counter()
    sets, program = prepare(plan)
    programs = teachers_of(plan, program.classes)
    teachers = {teacher.plan.digest: teaching(teacher, chosen) for _, teacher in programs}
    trainer = Trainer.make(program, sets, chosen, precision(plan.training.precision, chosen), teachers)
    if plan.training.micro_auto:
        trainer.micro = fitting_micro(trainer)
    trainer.model.train()
    meter, taken = Meter.on(chosen), dict[int, float]()
    until_first = time.perf_counter() - began
    batches, total = iter(trainer.batches()), trainer.total_steps
    for place in range(PLACES):
        step = min(total - 1, int((place + 0.5) / PLACES * total))
        for _ in range(2):  # the first one finds memory and algorithms for its size
            seconds = step_seconds(trainer, _next_at(trainer, batches, step), meter)
            if seconds is not None:
                taken[place] = seconds
    training = statistics.fmean(taken.values()) * trainer.steps_per_epoch
    held_out, shares = trainer.held_out(), list[float]()
    trainer.eval_model.eval()
    for place in range(min(3, len(held_out))):
        began = time.perf_counter()
        part = held_out[place]
        if isinstance(part, tuple):  # what can't be decoded
            raise RecipeError(*part)
        trainer.logits(part)[0].sum().item()
        shares.append(time.perf_counter() - began)
    evaluation = statistics.median(shares) * len(held_out)
    del trainer, batches, teachers
    if chosen.type == "cuda":
        torch.cuda.empty_cache()
    return until_first, training + evaluation


def _next_at(trainer: Trainer, batches: Iterator[Batch], step: int) -> Iterator[Batch]:
    """The next batch, if there is one, to be trained on as that of some step."""
    for batch in itertools.islice(batches, 1):
        trainer.step = step
        yield batch
