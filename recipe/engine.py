"""The training of a program: one loop, to be read from top to bottom, and what goes before and after it."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import fx

from recipe import checkpoint, files
from recipe.bind import bind
from recipe.compiler import Program, lower
from recipe.devices import environment, pick, precision
from recipe.diagnostics import Diagnostic, Diverged, RecipeError, fail
from recipe.folder import begin_folder, choose_folder, lock_text, summary_of
from recipe.images import Sets, training_loader
from recipe.inputs import override, source_from
from recipe.objective import ask
from recipe.plan import Plan
from recipe.registry import Vocabulary
from recipe.report import Listener, Quiet, heading, pictures
from recipe.signals import Interrupted, Signals
from recipe.source import Source
from recipe.teachers import find_teachers, teachers_of
from recipe.trainer import Meter, Trainer


@attrs.frozen(eq=False)
class Run:
    """A finished run: its folder, its summary, and the trained model as it was evaluated."""

    folder: Path
    summary: dict[str, Any]
    model: fx.GraphModule

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Every line of `metrics.jsonl`."""
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]


def open_sets(plan: Plan) -> Sets:
    """The plan's images. Raises `RecipeError` (E070) where they are missing or unfit."""
    data = plan.use("data")
    assert data is not None
    try:
        sets = data.trick.open()
    except (MemoryError, RuntimeError) as error:
        reason = (str(error) or "there is too little memory").splitlines()[0]
        raise fail("E070", f"`{data.word}` can't be read: {reason}", data.span) from error
    except (OSError, ValueError) as error:
        named = isinstance(error, OSError) and error.strerror
        reason = f"{error.strerror}: {error.filename}".lower() if named else str(error)  # type: ignore[union-attr]
        raise fail("E070", f"`{data.word}`: {reason}", data.span) from error
    if len(sets.train.labels) < 2:
        raise fail("E070", f"`{data.word}` has fewer than two images to train on", data.span)
    for part in (sets.train, sets.test):
        if len(part.labels) and not 0 <= int(part.labels.min()) <= int(part.labels.max()) < sets.classes:
            raise fail("E070", f"`{data.word}` has labels that are none of its {sets.classes} classes", data.span)
    if sets.classes < 2:
        raise fail("E070", f"`{data.word}` has fewer than two classes to tell apart", data.span)
    return sets


def plan_of(recipe: str | Path | Source | Plan | Program, statements: tuple[str, ...], vocabulary: Vocabulary) -> Plan:
    """The plan that a run of something follows; it has data."""
    if isinstance(recipe, Program):
        recipe = recipe.plan
    if isinstance(recipe, Plan):
        if recipe.use("data") and not statements:
            return recipe
        return bind([*recipe.sources, *override(statements)], recipe.vocabulary or vocabulary, data=True)
    return bind([source_from(recipe), *override(statements)], vocabulary, data=True)


def run(
    recipe: str | Path | Source | Plan | Program,
    *statements: str,
    out: str | Path | None = None,
    device: str | None = None,
    strict: bool = False,
    resume: bool = False,
    listener: Listener | None = None,
    vocabulary: Vocabulary | None = None,
    name: str = "run",
) -> Run:
    """Train a recipe: text, a path, a plan, or a compiled program; ``statements`` are laid over it.

    ``out`` is the run's folder (default: a new one in ``runs``), ``device`` a name such as ``cuda:0``; ``strict``
    refuses to substitute a precision; ``resume`` goes on from the folder's last checkpoint. Raises `RecipeError` for
    what can't be trained, and `Diverged` when the loss is no longer finite.
    """
    listener, vocabulary = listener or Quiet(), vocabulary or Vocabulary.installed()
    plan = plan_of(recipe, statements, vocabulary)
    vocabulary = plan.vocabulary or vocabulary
    chosen_device = pick(device)
    chosen = precision(plan.training.precision, chosen_device, strict)
    folder = choose_folder(out, name, plan.digest, resume)
    sets, program = prepare(plan, recipe if isinstance(recipe, Program) else None)

    def train_teacher(teacher: Plan, home: Path) -> None:
        try:
            run(teacher, out=home, device=device, strict=strict, resume=True, listener=listener, vocabulary=vocabulary)
        except Interrupted as stopped:  # one goes on with the student, which goes on with its teacher
            raise Interrupted(stopped.number, folder, 0) from None

    with _enough_memory(chosen_device):
        teach = find_teachers(plan, program.classes, folder.parent, chosen_device, vocabulary, train_teacher, listener)
        trainer = Trainer.make(program, sets, chosen_device, chosen, teach)
        if resume:
            _restore(trainer, folder, listener)
            done = summary_of(folder)
            if trainer.step == trainer.total_steps and done.get("digest") == plan.digest:
                return Run(folder, done, trainer.evaluated.eval())
        folder = begin_folder(folder, trainer.step, named=out is not None or resume)
        files.write_text(folder / "recipe.lock", lock_text(plan))
        files.write_json(folder / "environment.json", environment(chosen_device, chosen))
        for note in (*(f"warning: {warning.message}" for warning in plan.warnings), chosen.note):
            if note:
                listener.note(note)
        try:
            with torch.random.fork_rng():
                summary = _train(trainer, program, folder, listener)
        finally:
            listener.stop()
    return Run(folder, summary, trainer.evaluated.eval())


@contextlib.contextmanager
def _enough_memory(device: torch.device) -> Iterator[None]:
    """Tell of a device whose memory is too small as what it is (E115)."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        help = "`batch N micro M` computes a batch in parts of M images; `precision fp16` takes about half"
        raise fail("E115", f"`{device}` has too little memory for this training", help=help) from error


def prepare(plan: Plan, compiled: Program | None = None) -> tuple[Sets, Program]:
    """The images of a plan and its program, which fit each other (else E071).

    A program that was compiled from this very plan is taken as it is: training begins from its model's weights.
    """
    sets = open_sets(plan)
    if compiled is not None and compiled.plan is plan and compiled.device != "meta":
        program = compiled
    else:
        program = lower(plan, base=compiled.module if compiled else None)
    if program.classes < sets.classes:
        base = plan.use("base")
        message = f"the model has {program.classes} outputs, and the data {sets.classes} classes"
        raise fail("E071", message, base.span if base else None)
    return sets, program


def _restore(trainer: Trainer, folder: Path, listener: Listener) -> None:
    """Take up a training where its last sound checkpoint left it."""
    saved = folder / "checkpoints"
    state = checkpoint.load(saved, trainer.device)
    if state is None:
        if folder.exists():
            why = "none of its checkpoints can be read" if any(saved.glob("step-*.pt")) else "it has no checkpoint"
            listener.note(f"{folder} begins anew: {why}")
        return
    try:
        if state["digest"] != trainer.identity:
            raise ValueError("another digest")
        trainer.restore(state)
    except (RuntimeError, ValueError, KeyError) as error:
        raise fail("E113", f"`{folder}` holds a run of another recipe or model", help="name another --out") from error


def dry(
    plan: Plan,
    *,
    out: str | Path | None,
    device: str | None,
    strict: bool,
    resume: bool,
    listener: Listener,
    vocabulary: Vocabulary,
    name: str,
) -> None:
    """Do all that comes before a training and can fail: device, folder, data, compilation, teachers; then say so."""
    chosen_device = pick(device)
    chosen = precision(plan.training.precision, chosen_device, strict)
    choose_folder(out, name, plan.digest, resume)
    sets, program = prepare(plan)
    teachers_of(plan, program.classes, vocabulary)
    steps = plan.training.steps(len(sets.train.labels))
    warnings = [f"warning: {warning.message}" for warning in plan.warnings]
    for line in (*heading(program), *warnings, chosen.note):
        if line:
            listener.note(line)
    listener.note(
        f"{len(sets.train.labels)} training images, {len(sets.test.labels)} held out; {plan.training.epochs} epochs of "
        f"{steps} steps on {chosen_device}; nothing was trained"
    )


def _train(trainer: Trainer, program: Program, folder: Path, listener: Listener) -> dict[str, Any]:
    """The loop: every step, then every epoch's evaluation and checkpoint; then what is kept of the run."""
    plan, training, sets = trainer.plan, trainer.plan.training, trainer.sets
    boxes = plan.hooked("box")
    data = plan.use("data")
    assert data is not None
    log_every = 1 if trainer.device.type == "cpu" else 20
    listener.start(program, folder, trainer.step, trainer.total_steps, trainer.steps_per_epoch)
    began, trained_for, result = time.monotonic(), 0.0, {}
    first_step = trainer.step
    with Signals() as signals, (folder / "metrics.jsonl").open("a", encoding="utf-8") as metrics:

        def record(kind: str, **values: Any) -> None:
            _append(metrics, {"kind": kind, "step": trainer.step, "epoch": trainer.progress().epoch, **values})

        loader = training_loader(
            sets.train,
            training,
            partial(ask, boxes[0], "box") if boxes else None,
            trainer.step,
            trainer.total_steps,
            data.trick.workers,  # type: ignore[attr-defined]
            trainer.device.type == "cuda",
        )
        trainer.model.train()
        meter, since, logged = Meter.on(trainer.device), time.monotonic(), trainer.step
        for batch in loader:
            rate = trainer.train_step(batch, meter)
            last = trainer.step % trainer.steps_per_epoch == 0
            if trainer.step - logged >= log_every or last or signals.received:
                seen = meter.read()
                if not math.isfinite(seen["loss"]):
                    raise _diverged(trainer.step, folder)
                speed = meter.images / max(1e-9, time.monotonic() - since)
                record("train", **seen, lr=rate, images_per_second=speed)
                listener.step(trainer.step, seen["loss"], seen["top1"], rate, speed)
                trained_for += time.monotonic() - since
                meter, since, logged = Meter.on(trainer.device), time.monotonic(), trainer.step
            if last:
                result = trainer.evaluate()
                if not math.isfinite(result["loss"]):  # the last update broke the weights: they are not kept
                    raise _diverged(trainer.step, folder)
                record("evaluation", **result)
                listener.epoch(trainer.step // trainer.steps_per_epoch, result)
            if last or signals.received:
                checkpoint.save(folder / "checkpoints", trainer.step, trainer.state())
                since = time.monotonic()
            if signals.received and trainer.step < trainer.total_steps:
                raise Interrupted(signals.received, folder, trainer.step)
    if not result:  # resumed after its last step
        result = trainer.evaluate()
    images = (trainer.step - first_step) / trainer.steps_per_epoch * len(sets.train.labels)
    overall = images / trained_for if trained_for else None
    summary = _summary(trainer, program, result, time.monotonic() - began, overall)
    checkpoint.save_weights(folder / "model.safetensors", trainer.evaluated.state_dict(), plan.digest)
    pictures(folder)
    files.write_json(folder / "summary.json", summary)
    return summary


def _summary(
    trainer: Trainer, program: Program, result: dict[str, float], seconds: float, speed: float | None
) -> dict[str, Any]:
    """What `summary.json` holds; docs/run-folder.md says what each field is."""
    return {
        "schema_version": 1,
        "status": "finished",
        "digest": trainer.plan.digest,
        "epochs": trainer.plan.training.epochs,
        "steps": trainer.step,
        **result,
        "seconds": seconds,
        "images_per_second": speed,
        "params": program.costs.params,
        "macs": program.costs.macs,
        "precision": trainer.precision.name,
        "device": str(trainer.device),
        "notes": [note for note in (*program.notes, trainer.precision.note) if note],
    }


def _append(file: Any, line: dict[str, Any]) -> None:
    try:
        file.write(json.dumps(line) + "\n")
        file.flush()
    except OSError as error:
        help = "the last checkpoint is whole; make room, then go on with --resume"
        raise fail(
            "E111", f"`{file.name}` can't be written: {(error.strerror or str(error)).lower()}", help=help
        ) from None


def _diverged(step: int, folder: Path) -> RecipeError:
    saved = sorted((folder / "checkpoints").glob("step-*.pt"))
    kept = f"the last good checkpoint is {saved[-1]}" if saved else "no checkpoint was written before"
    message = f"the training diverged: the loss is no longer finite at step {step}"
    return Diverged(Diagnostic("E112", message, help=f"{kept}; try a lower learning rate or a longer warmup"))
