"""The part of a checkpoint that a trainer owns: what a step changes, and what a resumed run must match."""

from __future__ import annotations

from typing import Any

from recipe.base.plain_numbers import plain_numbers
from recipe.base.wording import plural
from recipe.plugins.fingerprint import code_of_plugins
from recipe.runs.state import TrainingState
from recipe.training.trainer import Trainer
from recipe.training.update import lay_out


def state_of(trainer: Trainer) -> TrainingState:
    """Return what a step changes, and what a resumed run must match. The loop adds its own counts."""
    return TrainingState(
        digest=trainer.identity,
        plugins=code_of_plugins(trainer.plan.uses),
        step=trainer.step,
        steps_per_epoch=trainer.steps_per_epoch,
        training_images=len(trainer.sets.train.labels),
        micro=trainer.micro,
        model=trainer.model.state_dict(),
        optimizer=plain_numbers(trainer.update.optimizer.state_dict()),
        optimizer_kind=type(trainer.update.optimizer).__name__,
        scaler=trainer.update.scaler.state_dict(),
        average=trainer.average.model.state_dict() if trainer.average else None,
    )


def restore(trainer: Trainer, state: TrainingState, changed: bool = False) -> list[str]:
    """Restore a state. If the recipe has changed, restore what fits and return notes on the rest."""
    notes = []
    trainer.model.load_state_dict(state.model)
    if changed and state.optimizer_kind != type(trainer.update.optimizer).__name__:
        notes.append(f"the optimizer restarts from scratch: its state is from {state.optimizer_kind}")
    else:
        _restore_optimizer(trainer, state.optimizer, changed, notes)
    if state.scaler and trainer.update.scaler.is_enabled():  # empty if the run started without fp16
        trainer.update.scaler.load_state_dict(state.scaler)
    if trainer.average:
        trainer.average.model.load_state_dict(state.average or state.model)
    trainer.step = state.step
    images = len(trainer.sets.train.labels)
    if state.steps_per_epoch != trainer.steps_per_epoch or state.training_images != images:
        trainer.step = state.step // state.steps_per_epoch * trainer.steps_per_epoch
        now = f"there are now {images} training images, not {state.training_images}"
        if state.training_images == images:
            now = f"an epoch now has {plural(trainer.steps_per_epoch, 'step')}, not {state.steps_per_epoch}"
        notes.append(f"{now}: the epoch restarts from scratch")
    if state.micro and trainer.plan.training.micro_auto:
        trainer.micro = state.micro
    return notes


def _restore_optimizer(trainer: Trainer, state: dict[str, Any], changed: bool, notes: list[str]) -> None:
    if changed and [group["names"] for group in state["param_groups"]] != [
        group["names"] for group in trainer.update.optimizer.param_groups
    ]:
        notes.append("the optimizer restarts from scratch: its parameter groups have changed")
        return
    options = [
        {name: value for name, value in group.items() if name != "params"}
        for group in trainer.update.optimizer.param_groups
    ]
    trainer.update.optimizer.load_state_dict(state)
    lay_out(trainer.update.optimizer)
    if changed:
        for group, mine in zip(trainer.update.optimizer.param_groups, options, strict=True):
            group.update(mine)
