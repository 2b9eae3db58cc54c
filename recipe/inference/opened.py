"""`recipe.load`: open a run from its folder, without its data and its initial weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from recipe.base.errors import fail
from recipe.base.public import public
from recipe.base.wording import listing
from recipe.compiler.lower import lower
from recipe.devices.choice import pick
from recipe.inference.datasets import open_sets, preprocessing_of
from recipe.inference.kept import kept_weights, last_checkpoint, run_summary, unreadable
from recipe.inference.layout import memory_format
from recipe.inference.run import Run
from recipe.plan.plan import Plan
from recipe.plugins.fingerprint import code_by_package
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.environment import changed_code, plugins_of
from recipe.runs.provenance import Classes, Preprocessing, read_provenance
from recipe.runs.reader import environment_of, measured
from recipe.runs.recipe_lock import open_lock
from recipe.runs.weights import NAME

STOPPED = "stopped"
"""The status of a run that has not finished."""


@public()
def load(
    folder: str | Path,
    *,
    device: str | torch.device | None = None,
    base: nn.Module | None = None,
    plugins: Vocabulary | Sequence[str | Path] = (),
) -> Run:
    """Open a run, to predict with it, to evaluate it, or to use its model.

    Needs only the run folder: neither the images that it was trained on nor its initial weights. A run that was stopped
    is opened from its last checkpoint.

    Args:
        folder: The run folder.
        device: The device of the model, such as ``cpu`` or ``cuda:1``. Defaults to the first CUDA device, or the CPU.
        base: For a run of a model of your own, that model, before its rewrite. Its weights don't matter.
        plugins: Paths of Python files with tricks, or the `Vocabulary` to use instead of the installed one.

    Returns:
        The run.

    Raises:
        RecipeError: If the folder has no run, or a file of it is missing, damaged or edited (E120).
        TypeError: If an argument has the wrong type.
    """
    chosen = pick(None if device is None else str(device))
    words = plugins if isinstance(plugins, Vocabulary) else Vocabulary.installed(plugins)
    run = opened(Path(folder), words, base)
    layout = memory_format(run.program.training)
    model = run.model.to(device=chosen, memory_format=layout)  # type: ignore[call-overload]
    return attrs.evolve(run, model=model)


def opened(folder: Path, vocabulary: Vocabulary, base: nn.Module | None = None) -> Run:
    """Open the run in a folder, with its model on the CPU. Raises `RecipeError` (E120, or E121 without a ``base``)."""
    lock = open_lock(folder)
    summary = run_summary(folder)
    if summary and summary.get("digest") != lock.digest:
        help = "restore recipe.lock and summary.json from a copy of the run"
        raise fail("E120", f"the summary in `{folder}` belongs to a different recipe than its recipe.lock", help=help)
    plan = lock.plan(vocabulary)
    if plan.model == "module" and base is None:
        help = "pass that model from Python: `recipe.load(folder, base=model)`, `recipe.export(folder, …, base=model)`"
        raise fail("E121", f"`{folder}` trained a model of your own, which its recipe does not describe", help=help)
    if plan.model != "module" and base is not None:
        raise fail("E023", f"`{folder}` trained `{plan.model}`, but a model was passed as `base=`", help="omit it")
    stopped, damaged = (None, []) if summary else last_checkpoint(folder)
    classes, preprocessing, *notes = _recorded(folder, plan)
    program = lower(plan, base=base, classes=classes.count, pretrained=False)
    model = program.materialise(pretrained=False)
    if stopped is None:
        _fill(model, kept_weights(folder), folder / NAME, base is not None)
    else:
        _fill(model, stopped.average or stopped.model, folder / "checkpoints", base is not None)
        summary = _summary_of_stopped(folder, lock.digest, stopped.step)
        epoch = f"epoch {stopped.step / stopped.steps_per_epoch:.4g} of {plan.training.epochs}"
        which = f"its last checkpoint is used, of step {stopped.step} ({epoch})"
        if damaged:
            lost = f"{listing(path.name for path in damaged)}, which can't be read"
            which = f"its checkpoint of step {stopped.step} ({epoch}) is used instead of {lost}"
        notes.append(f"the run was stopped: {which}")
    made = environment_of(folder)
    if changed := changed_code(made.plugins if made else (), plugins_of(code_by_package(plan.uses))):
        notes.append(f"the model may be another one than was trained: {', '.join(changed)}")
    return Run(folder, summary, model.eval(), program, classes, preprocessing, "; ".join(filter(None, notes)))


def _summary_of_stopped(folder: Path, digest: str, step: int) -> dict[str, Any]:
    """Return what is known of a stopped run: its step, and the results of its last evaluation until then."""
    results = [line for line in measured(folder) if line["kind"] == "evaluation" and line["step"] <= step]
    last = (
        {name: value for name, value in results[-1].items() if name not in ("kind", "step", "epoch")} if results else {}
    )
    return {"status": STOPPED, "digest": digest, "steps": step, **last}


def _recorded(folder: Path, plan: Plan) -> tuple[Classes, Preprocessing, str]:
    """Return the classes and preprocessing of a run, and a note if they are those of today's data."""
    if provenance := read_provenance(folder):
        return provenance.classes, provenance.preprocessing, ""
    sets = open_sets(plan)
    note = "an earlier release made this run without recording its classes: they are those of the data today"
    return Classes(sets.classes, sets.names), preprocessing_of(plan, sets), note


def _fill(model: nn.Module, weights: dict[str, Tensor], path: Path, own: bool) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        if own:
            message = f"`base=` is not the model of `{path.parent}`: its weights don't fit"
            raise fail("E120", message, help="pass the model that you passed to `recipe.compile`") from error
        lines = [line.strip() for line in str(error).splitlines()]
        raise unreadable(path, " ".join(lines[:2])) from error
