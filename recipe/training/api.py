"""`recipe.run`: train a recipe; `recipe.batches`: take its parts for a training loop of one's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from recipe.base.public import public
from recipe.base.source import Source
from recipe.compiler.program import Program
from recipe.inference.run import Run
from recipe.language.recipe_input import is_run
from recipe.plan.bind import resolve
from recipe.plan.plan import Plan
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.save_policy import CHECKPOINTS, EVERY, SavePolicy
from recipe.runs.time_limit import TimeLimit
from recipe.training.displays import default_listener
from recipe.training.engine import train
from recipe.training.own_loop import Batches, open_batches
from recipe.training.reporting import Listener, closing
from recipe.training.request import Request
from recipe.training.runtime import Runtime


@public()
def run(
    recipe: str | Path | Source | Plan | Program,
    *statements: str,
    out: str | Path | None = None,
    device: str | torch.device | None = None,
    strict: bool = False,
    resume: bool = False,
    allow_changed: bool = False,
    save_every: str = EVERY,
    checkpoints: int = CHECKPOINTS,
    max_time: str | None = None,
    test: bool = True,
    listener: Listener | None = None,
    plugins: Vocabulary | Sequence[str | Path] = (),
    name: str = "run",
    runtime: Runtime | None = None,
) -> Run:
    """Train a recipe and write a run folder.

    A recipe without a dataset trains on ``data digits``. Under torchrun, call this function with the same arguments in
    every process.

    Args:
        recipe: The text of a recipe, the path of a recipe or a run folder, the name of a shipped example, a `Plan`, or
            a `Program`. Training a program starts from the weights of its ``model``, unless statements override it, or
            it was compiled for the meta device or without a dataset.
        statements: Statements that override the recipe.
        out: The run folder. Defaults to a new folder in ``runs`` or, with ``resume``, to the run folder that ``recipe``
            names, if it names one, and to the last run of this recipe in ``runs``.
        device: The device, such as ``cpu`` or ``cuda:1``. Defaults to the first CUDA device, or the CPU.
        strict: Whether to fail if the device has no fast form of the recipe's precision, instead of using another one.
        resume: Whether to resume from the folder's last checkpoint, as in ``recipe.run("runs/mine", resume=True)``.
            Without a run to resume, a new one starts.
        allow_changed: Whether to resume even if the recipe has changed.
        save_every: When to save a checkpoint: ``epoch``, a number of steps such as ``500``, a time such as ``90s``,
            ``15m`` or ``1.5h``, or a comma-separated list of these.
        checkpoints: How many checkpoints to keep, at least 1.
        max_time: The time, such as ``90s``, ``15m`` or ``1.5h``, after which the training ends early: it evaluates,
            and writes its weights and its summary. It counts from this call on, also for a run that is resumed.
        test: Whether to evaluate the test images at the end, if the dataset has any.
        listener: A `recipe.training.reporting.Listener`, which receives the progress. By default, it is
            shown, with the result at the end: in the output of a notebook's cell, with a line that is updated in
            place, or else on standard error, as a live display on a terminal and in lines elsewhere. A plain
            `Listener()` shows nothing.
        plugins: Paths of Python files with tricks, or the `Vocabulary` to use instead of the installed one.
        name: The first part of the name of a new folder in ``runs``.
        runtime: Replaces parts of training in tests of recipe itself.

    Returns:
        The run. Its ``summary["status"]`` is ``finished``, or ``ended early`` if it was asked to end before its last
        step. If the run to resume has already finished, nothing is trained.

    Raises:
        RecipeError: If the recipe can't be trained, or the folder can't be used.
        TypeError, ValueError: If an argument has the wrong type, or has no effect without another one.
        Diverged: If the loss or a gradient is no longer finite.
        Interrupted: After SIGINT, SIGTERM or SIGHUP. A checkpoint is saved first if training has begun. After a second
            signal, it isn't, and the error is raised immediately.
    """
    if allow_changed and not resume:
        raise ValueError("allow_changed requires resume=True")
    limit = None if max_time is None else TimeLimit.of(max_time)
    plan = recipe.plan if isinstance(recipe, Program) else recipe
    if resume and out is None and isinstance(recipe, (str, Path)) and is_run(recipe):
        out = recipe
    shown = default_listener(keys=False) if listener is None else listener
    done = train(
        Request(
            plan=resolve(plan, *statements, plugins=plugins, data=True),
            compiled=recipe if isinstance(recipe, Program) else None,
            out=out,
            device=None if device is None else str(device),
            strict=strict,
            resume=resume,
            allow_changed=allow_changed,
            policy=SavePolicy.of(save_every, checkpoints),
            limit=limit,
            test=test,
            listener=shown,
            name=name,
            runtime=runtime or Runtime(),
        )
    )
    if listener is None and os.environ.get("RANK", "0") == "0":
        shown.note(f"{closing(done.summary)}; folder {done.folder}")
    return done


@public()
def batches(program: Program, *, device: str | torch.device | None = None) -> Batches:
    """Open the images of a program, and return its batches and its loss for a training loop of your own.

    `Program` has the rest: its model, parameter groups, optimizer, and learning rates.

    Args:
        program: A program whose recipe names a dataset.
        device: The device of the batches, such as ``cpu`` or ``cuda:1``. Defaults to the first CUDA device, or the CPU.

    Returns:
        The batches. Nothing is loaded before you iterate over them.

    Raises:
        RecipeError: If the images can't be read or don't fit the program, the device is unavailable, or the recipe
            names no dataset, or a teacher (E131).
        TypeError: If an argument has the wrong type.
    """
    return open_batches(program, None if device is None else str(device))
