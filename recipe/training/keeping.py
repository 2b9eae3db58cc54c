"""Which evaluation's weights a run keeps, and whether its evaluations so far end it early.

The best weights are written when they have been evaluated, before the checkpoint that counts the evaluation. A run that
is killed between the two resumes from an older checkpoint, finds newer weights in the file, and keeps them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from recipe.base.errors import RecipeError, fail
from recipe.base.typed_json import Malformed, fitted, plain
from recipe.plan.metrics import metric_modes
from recipe.plugins.calling import call_hook
from recipe.plugins.contexts import EvaluationResult
from recipe.plugins.metrics import DEFAULT
from recipe.runs import exclusive
from recipe.runs.best import Best, KeptFile, read_best, value_of, write_best
from recipe.runs.held_out import HeldOut, write_held_out
from recipe.runs.provenance import in_held_out
from recipe.runs.reader import measured
from recipe.runs.recipe_lock import read_lock
from recipe.runs.records import Evaluated
from recipe.runs.state import TrainingState
from recipe.runs.weights import NAME, save_weights, unpacked
from recipe.training.trainer import Evaluation, Trainer

SAME = 1e-5
"""The relative difference of two results up to which they are the same: sums can differ in their last bits."""


@attrs.frozen
class Kept:
    """What a run keeps at its end."""

    result: dict[str, Any]
    """The results of the evaluation whose weights it keeps."""
    fields: dict[str, Any]
    """The fields of the summary about the choice, the best and the last evaluation, and the files."""
    notes: list[str]


@attrs.define(eq=False)
class Keeping:
    """The evaluations of a run so far, and what follows from them."""

    trainer: Trainer
    evaluations: list[dict[str, Any]] = attrs.field(factory=list)
    """The results of each one, as `Evaluated` has them."""
    best: Best | None = None
    """The one whose weights are in `model.safetensors`, if the run keeps the best ones."""
    ended_by: str = ""
    """The statement of the trick that ends the training early, or an empty string."""
    modes: dict[str, str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.modes = metric_modes(self.trainer.plan)

    @property
    def over(self) -> bool:
        """Whether nothing is left to train."""
        return self.trainer.step >= self.trainer.total_steps or bool(self.ended_by)

    @property
    def evaluations_left(self) -> int:
        """How many evaluations follow if the training ends within an epoch: of the last and of the kept weights."""
        return 1 if self.best is None else 2

    @property
    def keeps_best(self) -> bool:
        return self.trainer.plan.training.keep_by is not None

    @property
    def metric(self) -> str:
        """The metric by which evaluations are compared."""
        return self.trainer.plan.training.keep_by or DEFAULT

    def state(self) -> dict[str, Any]:
        """Return the fields of a checkpoint."""
        return {"evaluations": self.evaluations, "best": None if self.best is None else plain(self.best)}

    def count(self, result: dict[str, Any], folder: Path) -> None:
        """Count an evaluation at the current step. Write its weights if they are the best so far."""
        trainer = self.trainer
        evaluated = self._at_step(result)
        self.evaluations.append(evaluated)
        if self.keeps_best and (self.best is None or self._rank(evaluated) > self._rank_of(self.best)):
            self.best = trainer.ranks.broadcast(lambda: self._write(evaluated, folder))
        self._decide()

    def _at_step(self, result: dict[str, Any]) -> dict[str, Any]:
        return {"epoch": self.trainer.progress().epoch, "step": self.trainer.step, **result}

    def _write(self, evaluated: dict[str, Any], folder: Path) -> Best:
        exclusive.check(folder)
        weights, digest = self.trainer.eval_model.state_dict(), self.trainer.plan.digest
        return write_best(folder, weights, digest, self.metric, evaluated)

    def _score(self, evaluated: dict[str, Any]) -> float:
        value = value_of(evaluated, self.metric)
        assert value is not None
        return value if self.modes[self.metric] == "max" else -value

    def _score_of(self, best: Best) -> float:
        return best.value if self.modes[self.metric] == "max" else -best.value

    def _rank(self, evaluated: dict[str, Any]) -> tuple[float, float]:
        """Return what to compare evaluations by: the score, and if it is the same, the negated loss."""
        return self._score(evaluated), -evaluated["loss"]

    def _rank_of(self, best: Best) -> tuple[float, float]:
        return self._score_of(best), -best.result.loss

    def _decide(self) -> None:
        """Decide, for all processes, whether the evaluations so far end the training."""
        trainer = self.trainer
        if trainer.plan.hooked("stop") and trainer.step < trainer.total_steps:
            self.ended_by = trainer.ranks.broadcast(self._who_stops)

    def _who_stops(self) -> str:
        history = tuple(map(self._seen, self._comparable()))
        stopping = (use for use in self.trainer.plan.hooked("stop") if history and call_hook(use, "stop", history))
        return next((use.statement() for use in stopping), "")

    def _comparable(self) -> list[dict[str, Any]]:
        """Return the evaluations that have the metric. Those before the recipe was changed may lack it."""
        return [evaluated for evaluated in self.evaluations if value_of(evaluated, self.metric) is not None]

    def _seen(self, evaluated: dict[str, Any]) -> EvaluationResult:
        values = {name: value for name, value in evaluated.items() if name not in ("epoch", "step", "metrics")}
        values |= evaluated.get("metrics", {})
        return EvaluationResult(evaluated["epoch"], evaluated["step"], self._score(evaluated), values)

    # ---- resuming

    def restore(self, state: TrainingState, folder: Path, data_changes: Sequence[str]) -> list[str]:
        """Restore what a checkpoint counts, once the trainer is restored. Return notes.

        Raises `RecipeError` (E132) if nothing is left to train and the best weights are lost.
        """
        trainer = self.trainer
        if in_held_out(data_changes):  # results on other images can't be compared
            return self._restarted(state, "the held-out images have changed") if self.keeps_best and state.best else []
        self.evaluations = [*trainer.ranks.broadcast(lambda: _evaluations(state, folder))]
        evaluated = state.epoch_evaluated and trainer.step == state.step
        if evaluated and trainer.step % trainer.steps_per_epoch == 0:
            self._decide()
        if not self.keeps_best:
            return []
        recorded = None if state.best is None else fitted(state.best, Best)
        if recorded is not None and recorded.by != self.metric:
            return self._restarted(state, f"epochs are now compared by {self.metric}")
        self.best = trainer.ranks.broadcast(lambda: self._found(folder, recorded))
        if self.best is not None:
            return []
        if recorded is not None and recorded.step == trainer.step == state.step:  # the checkpoint has its weights
            self.best = attrs.evolve(recorded, sha256="")
            return []
        if recorded is not None and self.over and evaluated:
            raise _lost(folder, "is missing or damaged")
        if recorded is not None:
            return self._restarted(state, f"`{NAME}` is missing or damaged")
        return self._restarted(state, "earlier weights were not kept") if self.evaluations else []

    def adopt(self, folder: Path) -> None:
        """Take the best weights of a run that restarts because it was killed before its first checkpoint."""
        if self.keeps_best:
            self.best = self.trainer.ranks.broadcast(lambda: self._found(folder, None))

    def repair(self, folder: Path) -> None:
        """Write the best weights again if the file is lost and the restored model has them."""
        if self.best is not None and not self.best.sha256:
            result = _stated(self.best.result)
            self.best = self.trainer.ranks.broadcast(lambda: self._write(result, folder))

    def _restarted(self, state: TrainingState, why: str) -> list[str]:
        """Restart the choice of the best epoch. Return a note on it."""
        self.best = None
        return [f"the choice of the best epoch restarts at step {state.step}: {why}"]

    def _found(self, folder: Path, recorded: Best | None) -> Best | None:
        """Return what `model.safetensors` has: what a checkpoint recorded, or better weights that it doesn't count."""
        file = read_best(folder)
        if file is None:
            return None
        if recorded is not None and file.best.content == recorded.content:
            return attrs.evolve(recorded, sha256=file.best.sha256)
        lock = read_lock(folder)
        own = file.digest in (self.trainer.plan.digest, lock.digest if lock else "") and _at_epoch_end(file.best.epoch)
        newer = file.best.epoch not in {evaluated["epoch"] for evaluated in self.evaluations}
        better = recorded is None or self._rank_of(file.best) > self._rank_of(recorded)
        return file.best if own and newer and better and file.best.by == self.metric else None

    # ---- the end of a run

    def take(self, folder: Path) -> None:
        """Put the best weights in the model, at the end of a run that keeps them. Nothing may be trained afterwards.

        Raises `RecipeError` (E132) if the file has other weights.
        """
        if self.best is None or not self.best.sha256:  # the model has them already
            return
        file = self.trainer.ranks.broadcast(lambda: self._kept(folder))
        try:
            self.trainer.eval_model.load_state_dict(unpacked(file.data))
        except (Malformed, RuntimeError) as error:
            raise _lost(folder, str(error).splitlines()[0]) from error

    def _kept(self, folder: Path) -> KeptFile:
        file = read_best(folder)
        if file is None or self.best is None or file.best.content != self.best.content:
            raise _lost(folder, "is missing or has been changed since it was written")
        return file

    def finish(
        self, last: Evaluation, folder: Path, evaluate: Callable[[], Evaluation], tell: Callable[[str], None]
    ) -> Kept:
        """Write the kept weights and the evaluation of each image, and return what the summary states about them.

        Args:
            last: The last evaluation, of the current weights.
            folder: The run folder.
            evaluate: Evaluates the model with its weights at that time, with the logits of each image.
            tell: Reports what the run does.
        """
        trainer, ranks = self.trainer, self.trainer.ranks
        at_end = chosen = self._at_step(last.result)
        notes = [*self._ended(), *self._better(at_end)]
        for note in notes:
            tell(note)
        outputs, again = last.outputs, ranks.broadcast(lambda: last.outputs is None)
        if self.keeps_best and self.best is None and _at_epoch_end(at_end["epoch"]):  # the held-out images have changed
            self.best = ranks.broadcast(lambda: self._write(at_end, folder))
        if self.best is not None:
            chosen = _stated(self.best.result)
            if chosen["epoch"] != at_end["epoch"]:
                self.take(folder)
                again = True
            self.best = ranks.broadcast(lambda: self._restated(folder))
            weights = self.best.sha256
        else:  # a resumed run doesn't adopt this file, because its header states no evaluation
            state = trainer.eval_model.state_dict()
            weights = ranks.broadcast(lambda: save_weights(folder / NAME, state, trainer.plan.digest))
        if again:
            tell(f"evaluating the kept weights of epoch {chosen['epoch']:g} again, to record each image")
            evaluation = evaluate()
            outputs = evaluation.outputs
            notes += _changed(chosen, evaluation.result, self.metric)
        digest = ranks.broadcast(lambda: _write_outputs(folder, outputs))
        best = max(self._comparable() or [at_end], key=self._rank) if self.best is None else chosen
        fields = {
            "weights_sha256": weights,
            "evaluation_sha256": digest,
            "kept": "last" if self.best is None else "best",
            "best": {**best, "by": self.metric},
            "last": at_end,
        }
        result = {name: value for name, value in chosen.items() if name not in ("epoch", "step")}
        return Kept(result, fields, notes)

    def _ended(self) -> list[str]:
        epoch, epochs = self.trainer.progress().epoch, self.trainer.plan.training.epochs
        return [f"`{self.ended_by}` ended the training after epoch {epoch:g} of {epochs}"] if self.ended_by else []

    def _better(self, at_end: dict[str, Any]) -> list[str]:
        """Return a note if an early end within an epoch, which doesn't count, evaluates better than the kept epoch."""
        if self.best is None or _at_epoch_end(at_end["epoch"]) or self._score(at_end) <= self._score_of(self.best):
            return []
        value = value_of(at_end, self.metric)
        assert value is not None
        kept = f"{_shown(self.metric, self.best.value, named=False)} in the kept epoch {self.best.epoch:g}"
        better = f"the last evaluation is better, with {_shown(self.metric, value)} instead of {kept}"
        return [f"{better}, but only whole epochs are compared"]

    def _restated(self, folder: Path) -> Best:
        """Return the best evaluation, once its file states the plan's digest, which a changed recipe changes."""
        exclusive.check(folder)
        file, digest = self._kept(folder), self.trainer.plan.digest
        if file.digest == digest:
            return file.best
        return write_best(folder, unpacked(file.data), digest, self.metric, _stated(file.best.result))


def _stated(result: Evaluated) -> dict[str, Any]:
    """Return the results of an evaluation as they were recorded, without those that it doesn't have."""
    return {name: value for name, value in plain(result).items() if value is not None and value != {}}


def _at_epoch_end(epoch: float) -> bool:
    """Whether an evaluation counts for the choice, which one at an early end within an epoch doesn't."""
    return epoch % 1 == 0


def _changed(chosen: dict[str, Any], again: dict[str, Any], metric: str) -> list[str]:
    """Return a note if the kept weights evaluate to another accuracy, loss or value of a metric than before."""
    names = dict.fromkeys((DEFAULT, metric, "loss"))
    pairs = [(name, value_of(chosen, name), value_of(again, name)) for name in names]
    changes = [
        f"{_shown(name, now)}, not {_shown(name, before, named=False)}"
        for name, before, now in pairs
        if before is not None and now is not None and not math.isclose(before, now, rel_tol=SAME)
    ]
    before = f"as in epoch {chosen['epoch']:g}"
    return [f"the kept weights now evaluate to {'; '.join(changes)} {before}"] if changes else []


def _shown(name: str, value: float, named: bool = True) -> str:
    """Return a value as the notes show it."""
    text = f"{value:.2%}" if name == DEFAULT else f"{value:.4g}"
    return f"{'top-1' if name == DEFAULT else name} {text}" if named else text


def _write_outputs(folder: Path, outputs: HeldOut | None) -> str:
    assert outputs is not None
    exclusive.check(folder)
    return write_held_out(folder, outputs)


def _evaluations(state: TrainingState, folder: Path) -> list[dict[str, Any]]:
    """Return the evaluations that a checkpoint counts. An earlier release recorded them only in the metrics."""
    if state.evaluations is not None:
        return state.evaluations
    lines = [line for line in measured(folder) if line["kind"] == "evaluation" and line["step"] <= state.step]
    counted = [line for line in lines if line["step"] < state.step or state.epoch_evaluated]
    return [{name: value for name, value in line.items() if name != "kind"} for line in counted]


def _lost(folder: Path, why: str) -> RecipeError:
    message = f"the best weights of the run in `{folder}` are lost: `{NAME}` {why}"
    return fail("E132", message, help="restore the file from a copy of the run, or train again in another folder")
