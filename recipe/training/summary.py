"""`summary.json`: the results of a run. docs/reference/json.md describes each field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from recipe.compiler.program import Program
from recipe.devices.choice import peak_memory
from recipe.runs.records import ENDED_EARLY, FINISHED
from recipe.training.keeping import Kept
from recipe.training.trainer import Evaluation, Trainer


def summarized(
    trainer: Trainer,
    program: Program,
    over: bool,
    kept: Kept,
    tested: Evaluation | None,
    skipped: Sequence[str],
    seconds: float,
    speed: float | None,
    notes: Iterable[str],
) -> dict[str, Any]:
    """Return the summary of a run.

    Args:
        trainer: The run at its end.
        program: The compiled recipe.
        over: Whether it was trained to its end.
        kept: What was kept, and its results.
        tested: The evaluation of the kept weights on the test images, if there are any.
        skipped: The part of each image that could not be decoded.
        seconds: The time that the training took.
        speed: The training images per second, or None if nothing was trained.
        notes: What was reported during the run.
    """
    sets, per_epoch = trainer.sets, trainer.steps_per_epoch
    parts = ("training", "evaluation", *(["test"] if sets.test is not None else []))
    test = {} if tested is None or sets.test is None else {"test": {"images": len(sets.test.labels), **tested.result}}
    return {
        "schema_version": 1,
        "status": FINISHED if over else ENDED_EARLY,
        "digest": trainer.plan.digest,
        "epochs": trainer.step // per_epoch if trainer.step % per_epoch == 0 else trainer.step / per_epoch,
        "planned_epochs": trainer.plan.training.epochs,
        "steps": trainer.step,
        **kept.result,
        **kept.fields,
        **test,
        **({"skipped": {part: skipped.count(part) for part in parts}} if trainer.skips else {}),
        "seconds": seconds,
        "images_per_second": speed,
        "training_images": len(sets.train.labels),
        "peak_memory_bytes": peak_memory(trainer.device),
        "params": program.costs.params,
        "macs": program.costs.macs,
        "precision": trainer.precision.name,
        "device": str(trainer.device),
        "processes": trainer.ranks.world,
        "micro": trainer.micro,
        "notes": [note for note in (*program.notes, *sets.notes, trainer.precision.note, *notes) if note],
    }
