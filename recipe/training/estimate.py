"""Measure how long a training takes, by a few steps and a little evaluation on the side."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import nn

from recipe.base.errors import RecipeError
from recipe.base.wording import format_duration, plural
from recipe.compiler.program import Program
from recipe.data.images import Sets
from recipe.devices.precision import precision
from recipe.inference.batches import Batch, InOrder, evaluated_at_once
from recipe.plan.plan import Plan
from recipe.runs.layout import finished_run
from recipe.training.given_teachers import NamedTeacher, size_of
from recipe.training.meters import Meter
from recipe.training.micro_batch import fitting_micro
from recipe.training.runtime import Runtime
from recipe.training.setup import prepare
from recipe.training.teachers import named_teachers, teachers_of, teaching
from recipe.training.trainer import Trainer, nothing_to_evaluate
from recipe.training.trial import step_seconds, try_step

PLACES = 4
"""Number of points in a run at which steps are timed; some tricks make only part of the steps faster."""

BATCHES = 3
"""Number of batches of held-out images that are timed."""

PATIENCE = 10.0
"""Seconds after which an estimate for a user measures no more."""


@attrs.frozen
class Timing:
    """What was measured, in seconds, and from how many steps and batches of held-out images."""

    ready: float
    """When everything was ready for the first step, on the clock `time.perf_counter`."""
    step: float
    """The mean time of a step."""
    evaluation: float
    """The time of a whole evaluation."""
    steps: int = 0
    """Whole steps that were measured, or 0 if the times are extrapolated from fewer images at a time."""
    batches: int = 0
    """Batches of evaluation that were measured, or 0 as above."""
    images: int = 0
    """Images at a time that the times are extrapolated from, or 0."""

    def training(self, epochs: float, steps: int) -> float:
        """Return the seconds of a training that still has these steps and evaluations."""
        return steps * self.step + epochs * self.evaluation


class Uncompiled(Runtime):
    """A runtime without `torch.compile`, which takes much longer than the steps to measure."""

    def compile(self, model: nn.Module, mode: str | None, dynamic: bool | None) -> Any:
        return model


def measure(
    program: Program,
    sets: Sets,
    teachers: Iterable[tuple[NamedTeacher, Program]],
    device: torch.device,
    patience: float | None = None,
    runtime: Runtime | None = None,
) -> Timing:
    """Train a copy of a program's model for a few steps at several points of its run, and evaluate a few batches.

    With ``patience``, measure no more after these seconds; on a CPU, extrapolate from fewer images at a time if two
    whole steps would take longer. Frees GPU memory afterwards.
    """
    taught = {named.file.digest: teaching(teacher, device, size=size_of(named, teacher)) for named, teacher in teachers}
    suited = precision(program.training.precision, device).suited(program.narrow)
    trainer = Trainer.make(program, sets, device, suited, taught, runtime=runtime)
    if program.training.micro_auto:
        trainer.micro = fitting_micro(trainer)
    trainer.model.train()
    ready = time.perf_counter()
    try:
        if patience is not None and device.type == "cpu":
            batch = program.training.images(0, len(sets.train.labels))
            images, seconds = _part_of_step(trainer, batch.stop - batch.start, patience / 8)
            step = seconds / images * (batch.stop - batch.start)
            if 2 * step > patience:
                return Timing(ready, step, _evaluation(trainer, images, 1)[0], images=images)
        end = None if patience is None else ready + patience
        step, steps = _steps(trainer, end)
        views = program.training.evaluation_views or "single"
        held_out = evaluated_at_once(program.training.batch, trainer.micro, views)
        late = end is not None and time.perf_counter() > end
        evaluation, batches = _evaluation(trainer, held_out, 1 if late else BATCHES)
        return Timing(ready, step, evaluation, steps, batches)
    finally:
        del trainer, taught
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _part_of_step(trainer: Trainer, batch: int, enough: float) -> tuple[int, float]:
    """Return how many images of a batch take at least ``enough`` seconds forward and backward, and their seconds."""
    images, most = 2, min(batch, trainer.micro or batch)
    try_step(trainer, images)  # the first one allocates memory and selects algorithms
    while True:
        began = time.perf_counter()
        try_step(trainer, images)
        seconds = time.perf_counter() - began
        if seconds >= enough or images >= most:
            return images, seconds
        images = min(2 * images, most)


def _steps(trainer: Trainer, end: float | None) -> tuple[float, int]:
    """Return the mean seconds of a step, and how many were timed."""
    meter, taken, steps = Meter.on(trainer.device), dict[int, float](), 0
    total = trainer.total_steps
    places = [min(total - 1, int((place + 0.5) / PLACES * total)) for place in range(PLACES)]
    batches = iter(trainer.batches_of([step for step in places for _ in range(2)][:total]))
    for place in range(PLACES):
        for _ in range(2):  # the first step allocates memory and selects algorithms for its size
            seconds = step_seconds(trainer, _next_at(trainer, batches), meter)
            if seconds is not None:
                taken[place], steps = seconds, steps + 1
        if end is not None and time.perf_counter() > end:
            break
    return statistics.fmean(taken.values()), steps


def _next_at(trainer: Trainer, batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the next batch, if any, after moving the trainer to its step."""
    for batch in itertools.islice(batches, 1):
        trainer.step = batch.step
        yield batch


def _evaluation(trainer: Trainer, images: int, batches: int) -> tuple[float, int]:
    """Return the seconds of an evaluation, extrapolated from some batches of held-out images, and their number.

    Raises `RecipeError` (E070) if no held-out image can be decoded.
    """
    size = trainer.plan.training.evaluation_size or trainer.images.size
    held_out, shares = InOrder(trainer.sets.val, images, trainer.skips, size), list[float]()
    trainer.eval_model.eval()
    for place in range(len(held_out)):
        began = time.perf_counter()
        part = held_out[place]
        if isinstance(part, tuple):  # the error of an image that can't be decoded
            raise RecipeError(*part)
        if not part.counted:  # none of its images can be decoded
            continue
        trainer.logits(part)[0].sum().item()
        shares.append(time.perf_counter() - began)
        if len(shares) == batches:
            break
    if not shares:
        raise nothing_to_evaluate()
    asked = trainer.plan.training.statistics_images or 0
    renewed = min(asked, len(trainer.sets.train.labels))  # they take about as long as that many held-out images
    return statistics.median(shares) * (len(held_out) + renewed / images), len(shares)


def estimated(
    program: Program,
    sets: Sets,
    teachers: Iterable[tuple[NamedTeacher, Program]],
    device: torch.device,
    near: Path,
    step: int = 0,
    max_time: float | None = None,
) -> str:
    """Measure, and return a sentence on how long a training takes from ``step`` on, and how that was measured.

    Includes the training of teachers that have no finished run in the folder ``near``. Writes nothing, and uses random
    weights instead of pretrained ones. ``max_time`` is the time limit in seconds.
    """
    timed = partial(measure, device=device, patience=PATIENCE, runtime=Uncompiled())
    timing = timed(_without_weights(program), sets, [(path, _without_weights(each)) for path, each in teachers])
    training = program.training
    per_epoch = training.steps(len(sets.train.labels))
    total, epochs = training.epochs * per_epoch, training.epochs - step // per_epoch
    test = 0.0 if sets.test is None else len(sets.test.labels) / len(sets.val.labels)
    own = timing.training(epochs + test, total - step)
    first = _teachers_seconds(program.plan, near, timed)
    each = f"{timing.step:.2g} s" if timing.step < 10 else f"{timing.step:.0f} s"
    how = f"{plural(timing.images, 'image')} at a time, since a step takes {each}"
    if timing.steps:
        batches = "a batch" if timing.batches == 1 else f"{timing.batches} batches"
        how = f"{plural(timing.steps, 'step')} of {each} and {batches} of evaluation"
    without = ", without `torch.compile`" if training.compile_mode is not None else ""
    before = f", {format_duration(first)} of them for teachers that are trained first" if first else ""
    sentence = f"estimated time: {format_duration(first + own)} on {device}{before}; measured with {how}{without}"
    if max_time is not None and first + own > max_time:
        left = max(0.0, max_time - first - timing.evaluation)
        done = (step + left / (own / max(1, total - step))) / per_epoch
        sentence += f"; with --max-time, it ends early, after about {done:.2g} of {plural(training.epochs, 'epoch')}"
    return sentence


def _without_weights(program: Program) -> Program:
    """Return a program whose model starts from random weights: their values don't change the time."""
    return program if program.fit is None else attrs.evolve(program, fit=None, model=[])


def _teachers_seconds(plan: Plan, near: Path, timed: partial[Timing]) -> float:
    """Return the seconds to train the teachers of a plan, and theirs, that have no finished run."""
    seconds = 0.0
    for named in named_teachers(plan):
        teacher = named.plan
        if named.is_trained and finished_run(near, teacher) is None:
            sets, program = prepare(teacher)
            programs = [(path, _without_weights(each)) for path, each in teachers_of(teacher, program.classes)]
            timing = timed(_without_weights(program), sets, programs)
            training = program.training
            steps = training.epochs * training.steps(len(sets.train.labels))
            seconds += timing.training(training.epochs, steps) + _teachers_seconds(teacher, near, timed)
    return seconds
