"""Plan how many seeds and epochs fit into a time budget, by timing each row."""

from __future__ import annotations

import bisect
import heapq
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import attrs
from attrs.validators import ge

from recipe.ablation.cells.launchers import Workers
from recipe.base.caller import option
from recipe.base.errors import fail
from recipe.base.wording import parse_duration, plural
from recipe.devices import choice
from recipe.plan.plan import Plan
from recipe.training.engine import told_plainly
from recipe.training.estimate import measure
from recipe.training.setup import prepare
from recipe.training.teachers import named_teachers, teachers_of

SEEDS = 3
"""Default number of seeds."""

MOST_SEEDS = 10


@attrs.frozen
class Budget:
    """The seeds and epochs that fit, and the seconds they are expected to take."""

    seeds: int = attrs.field(validator=ge(1))
    epochs: int = attrs.field(validator=ge(1))
    seconds: float = attrs.field(validator=ge(0.0))


def seconds_of(text: str) -> float:
    """Parse a budget such as ``20m`` into seconds. Raises `RecipeError` (E127)."""
    seconds = parse_duration(text)
    if seconds is None:
        raise fail("E127", f"`{text}` is not a duration", help="write it as `90s`, `20m` or `2h`")
    return seconds


def fit(
    budget: float,
    startup: float,
    epochs_of: Sequence[float],
    epochs: int,
    seeds: int | None,
    parallel: int,
    before: float = 0.0,
    confirming: int = 0,
) -> Budget:
    """Return the seeds and epochs that fit into a budget. Raises `RecipeError` (E127) if none do.

    All times are in seconds: ``epochs_of`` per epoch of each row, ``startup`` per run on top of its epochs, ``before``
    for training teachers first. ``confirming`` further runs may be as long as the longest. ``parallel`` runs execute at
    once. A given number of ``seeds`` is kept. Otherwise there
    are three seeds, up to ten if all of the recipe's epochs fit, or two if three leave no time for a single epoch.
    """

    def taken(count: int, length: int) -> float:
        """Return when the last run ends; each run starts as soon as an earlier one has ended."""
        ends = [before] * parallel
        for each in [*[*epochs_of] * count, *[max(epochs_of)] * confirming]:
            heapq.heapreplace(ends, ends[0] + startup + length * each)
        return max(ends)

    for count in (seeds,) if seeds else (SEEDS, 2):
        length = bisect.bisect_right(range(1, epochs + 1), budget, key=lambda length: taken(count, length))
        if length:
            more = range(count + 1, MOST_SEEDS + 1) if not seeds and length == epochs else ()
            most = max([count, *(number for number in more if taken(number, epochs) <= budget)])
            return Budget(most, length, taken(most, length))
    least = taken(seeds or 2, 1)
    enough = f"about {least:.0f} s for one epoch of each row with {plural(seeds or 2, 'seed')}"
    enough += f" and {plural(confirming, 'run')} to confirm" * bool(confirming)
    help = f"allow {enough}, or study fewer tricks with {option('--over')}"
    raise fail("E127", f"the budget of {budget:.0f} s is too short for {plural(len(epochs_of), 'row')}", help=help)


def planned(
    plans: Sequence[Plan],
    budget: str,
    seeds: int | None,
    workers: Workers,
    confirming: int,
    before: Budget | None,
    tell: Callable[[str], None],
) -> Budget:
    """Return the seeds and epochs that fit into a budget. Reuses an earlier plan, or else times each row.

    ``confirming`` is the number of runs that confirm a screening.
    """
    if before is not None:
        tell(f"using the earlier plan: {plural(before.seeds, 'seed')}, {plural(before.epochs, 'epoch')}")
        return before
    seconds = seconds_of(budget)
    tell(f"timing {plural(len(plans), 'row')} to fit the budget of {budget}")
    with told_plainly(choice.pick(workers.device)):
        times = {plan.digest: run_seconds(plan, workers.device) for plan in plans}
        named = (teacher.plan for plan in plans for teacher in named_teachers(plan) if teacher.is_trained)
        teachers = {teacher.digest: teacher for teacher in named}
        first = {digest: run_seconds(plan, workers.device) for digest, plan in teachers.items()}
    startup = startup_seconds() + statistics.fmean(until for until, _ in times.values())
    trained = sum(startup + teachers[digest].training.epochs * epoch for digest, (_, epoch) in first.items())
    each, epochs = [epoch for _, epoch in times.values()], plans[0].training.epochs
    fitting = fit(seconds, startup, each, epochs, seeds, workers.parallel, trained, confirming)
    fewer = f" (the recipe has {epochs})" if fitting.epochs < epochs else ""
    runs = plural(len(times) * fitting.seeds + len(teachers) + confirming, "run")
    length = f"{plural(fitting.seeds, 'seed')}, {plural(fitting.epochs, 'epoch')}{fewer}"
    tell(f"planned: {length}; {runs}, about {fitting.seconds / 60:.1f} min")
    return fitting


def startup_seconds() -> float:
    """Measure how long it takes to start a process that imports what a run imports."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-P", "-c", "import recipe.training.engine"], check=True)
    return time.perf_counter() - began


def run_seconds(plan: Plan, device: str | None) -> tuple[float, float]:
    """Return the seconds that a run takes from its imports to its first step, and per epoch with evaluation.

    The time of an epoch is extrapolated from a few steps. GPU memory is freed afterwards.
    """
    chosen, began = choice.pick(device), time.perf_counter()
    sets, program = prepare(plan)
    timing = measure(program, sets, teachers_of(plan, program.classes), chosen)
    return timing.ready - began, timing.training(1, plan.training.steps(len(sets.train.labels)))
