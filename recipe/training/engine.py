"""From a recipe to a finished run: what is prepared before a training, and what is left after it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import fx

from recipe.base import files
from recipe.base.errors import fail
from recipe.base.signals import Interrupted, Signals
from recipe.base.source import Source
from recipe.base.wording import first_line
from recipe.compiler.program import Program
from recipe.devices.choice import pick, repeatable
from recipe.devices.distributed import Ranks, is_peer_failure, peer_failure
from recipe.devices.memory import is_out_of_memory, may_be_out_of_memory
from recipe.devices.precision import precision
from recipe.plan.plan import Plan
from recipe.plugins.loss_context import Teach
from recipe.plugins.vocabulary import Vocabulary
from recipe.runs.environment import environment
from recipe.runs.exclusive import hold
from recipe.runs.layout import begin_folder, choose_folder, clean_folder
from recipe.runs.reader import measured, summary_of
from recipe.runs.recipe_lock import lock_text
from recipe.runs.save_policy import EVERY, KEEP, SavePolicy
from recipe.training.loop import Loop
from recipe.training.objective import objective
from recipe.training.preparation import plan_of, prepare
from recipe.training.reporting import Listener, Quiet, heading
from recipe.training.teachers import find_teachers, teachers_of
from recipe.training.trainer import Trainer


@attrs.frozen(eq=False)
class Run:
    """A finished run: its folder, its summary, and the trained model as it was evaluated."""

    folder: Path
    summary: dict[str, Any]
    model: fx.GraphModule

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Every line of `metrics.jsonl`."""
        return measured(self.folder)


def run(
    recipe: str | Path | Source | Plan | Program,
    *statements: str,
    out: str | Path | None = None,
    device: str | None = None,
    strict: bool = False,
    resume: bool = False,
    allow_changed: bool = False,
    save_every: str = EVERY,
    keep: int = KEEP,
    listener: Listener | None = None,
    vocabulary: Vocabulary | None = None,
    name: str = "run",
) -> Run:
    """Train a recipe: text, a path, a plan, or a compiled program; ``statements`` are laid over it.

    ``out`` is the run's folder (default: a new one in ``runs``), ``device`` a name such as ``cuda:0``; ``strict``
    refuses to substitute a precision; ``resume`` goes on from the folder's last checkpoint, also of another recipe
    with ``allow_changed``. A checkpoint is saved as ``save_every`` says (see `SavePolicy.of`), and the last
    ``keep`` are kept. Under torchrun all processes train together. Raises `RecipeError` for what can't be trained,
    `Diverged` where loss or gradients are no longer finite, and `Interrupted` after SIGINT or SIGTERM.
    """
    listener, vocabulary = listener or Quiet(), vocabulary or Vocabulary.installed()
    plan = plan_of(recipe, statements, vocabulary)
    vocabulary = plan.vocabulary or vocabulary
    cadence = SavePolicy.of(save_every, keep)
    chosen_device = pick(device)
    ranks = Ranks.join(chosen_device)
    listener = listener if ranks.is_main else Quiet()
    chosen = precision(plan.training.precision, chosen_device, strict)
    with contextlib.ExitStack() as held, Signals(tell=listener.note) as signals, told_plainly(chosen_device):
        folder = ranks.broadcast(lambda: choose_folder(out, name, plan, resume, allow_changed))
        signals.folder = folder
        goes_on = resume and ranks.broadcast(folder.exists)
        if goes_on:
            ranks.broadcast(lambda: held.enter_context(hold(folder)))
        sets, program = ranks.run_on_all(lambda: prepare(plan, recipe if isinstance(recipe, Program) else None))

        def train_teacher(teacher: Plan, home: Path) -> None:
            try:
                run(
                    teacher,
                    out=home,
                    device=device,
                    strict=strict,
                    resume=True,
                    save_every=save_every,
                    keep=keep,
                    listener=listener,
                    vocabulary=vocabulary,
                )
            except Interrupted as stopped:  # one goes on with the student, which goes on with its teacher
                raise Interrupted(stopped.number, folder, 0) from None

        def teach() -> Teach:
            return find_teachers(
                plan, program.classes, folder.parent, chosen_device, vocabulary, train_teacher, listener, ranks
            )

        done = ranks.broadcast(lambda: summary_of(folder)) if goes_on else {}
        whole = done.get("digest") == plan.digest and ranks.broadcast((folder / "model.safetensors").is_file)
        trainer = Trainer.make(program, sets, chosen_device, chosen, {} if whole else teach(), ranks)
        loop = Loop(trainer, program, folder, listener, signals, cadence)
        if whole and program.module is None and _take_weights(trainer, folder):
            listener.note(f"{folder} has finished already: there is nothing to do")
            return Run(folder, done, trainer.evaluated.eval())
        if goes_on:
            changed = loop.restore(allow_changed)
            if trainer.step == trainer.total_steps and whole:
                listener.note(f"{folder} has finished already: there is nothing to do")
                return Run(folder, done, trainer.evaluated.eval())
            if whole:  # by its summary alone: its last checkpoint is lost
                trainer.loss_of = objective(plan, teach())
            if changed:
                loop.save()

        def begin() -> Path:
            begun = begin_folder(folder, named=out is not None or goes_on)
            if not goes_on:
                held.enter_context(hold(begun))
                if (begun / "recipe.lock").exists():
                    raise fail("E116", f"another run began in `{begun}` just now", help="try again")
            files.write_text(begun / "recipe.lock", lock_text(plan))
            files.write_json(
                begun / "environment.json",
                environment(chosen_device, chosen, sorted({use.declared.package for use in plan.uses})),
            )
            clean_folder(begun, trainer.progress().epoch, loop.evaluated)
            return begun

        folder = loop.folder = ranks.broadcast(begin)
        signals.folder = folder
        for note in (*(f"warning: {warning.message}" for warning in plan.warnings), chosen.note):
            if note:
                listener.note(note)
        try:
            with repeatable(chosen_device):
                summary = loop.run()
        finally:
            listener.stop()
    return Run(folder, summary, trainer.evaluated.eval())


def _take_weights(trainer: Trainer, folder: Path) -> bool:
    """Take up the weights of a finished run whose checkpoints were taken out, as an ablation does; whether they fit."""
    if (folder / "checkpoints").exists():
        return False
    try:
        trainer.evaluated.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, RuntimeError, SafetensorError):  # it is trained again
        return False
    return True


@contextlib.contextmanager
def told_plainly(device: torch.device) -> Iterator[None]:
    """Tell of too little memory (E115), and of another process that went away (E117), as what they are."""
    try:
        yield
    except RuntimeError as error:
        help = "`batch N micro auto` computes a batch in parts that fit; `precision fp16` takes about half"
        if is_out_of_memory(error):
            raise fail("E115", f"`{device}` has too little memory for this training", help=help) from error
        if may_be_out_of_memory(error):
            message = f"`{device}` failed, perhaps because its memory is full: {first_line(error)}"
            raise fail("E115", message, help=help) from error
        if is_peer_failure(error):
            raise peer_failure() from error
        raise


def dry(
    plan: Plan,
    *,
    out: str | Path | None,
    device: str | None,
    strict: bool,
    resume: bool,
    allow_changed: bool,
    listener: Listener,
    vocabulary: Vocabulary,
    name: str,
    processes: int = 1,
) -> None:
    """Do all that comes before a training and can fail: device, folder, data, compilation, teachers; then say so."""
    chosen_device = pick(device)
    chosen = precision(plan.training.precision, chosen_device, strict)
    choose_folder(out, name, plan, resume, allow_changed)
    sets, program = prepare(plan)
    teachers_of(plan, program.classes, vocabulary)
    steps = plan.training.steps(len(sets.train.labels))
    warnings = [f"warning: {warning.message}" for warning in plan.warnings]
    for line in (*heading(program), *warnings, chosen.note):
        if line:
            listener.note(line)
    listener.note(
        f"{len(sets.train.labels)} training images, {len(sets.val.labels)} held out; {plan.training.epochs} epochs of "
        f"{steps} steps on {chosen_device}{f', in {processes} processes' if processes > 1 else ''}; nothing was trained"
    )
