"""The training loop, readable from top to bottom: each step, its checkpoints, and each epoch's evaluation."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch

from recipe.base import files
from recipe.base.caller import another_folder
from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import Diverged, RecipeError, fail
from recipe.base.sealed import write_sealed
from recipe.base.signals import Interrupted, Signals
from recipe.base.source import MAX_BYTES
from recipe.base.wording import plural
from recipe.devices.choice import is_out_of_memory
from recipe.inference.batches import Batch
from recipe.runs import checkpoints as checkpoint
from recipe.runs import exclusive
from recipe.runs.metrics_file import MetricsFile
from recipe.runs.reader import read_metrics
from recipe.runs.recipe_lock import changed_words
from recipe.runs.save_policy import SavePolicy
from recipe.runs.time_limit import TimeLimit
from recipe.training.diagnosis import NotFiniteInput, cause_of_average, cause_of_step
from recipe.training.early_end import EarlyEnd, announced, how_to_resume
from recipe.training.keeping import Keeping
from recipe.training.meters import Meter
from recipe.training.micro_batch import fitting_micro, largest_share, settle
from recipe.training.reporting import Listener, repeat_last_step
from recipe.training.request import Prepared
from recipe.training.resuming import check_owner, check_restart, other_run
from recipe.training.running_statistics import renew
from recipe.training.summary import summarized
from recipe.training.trainer import Evaluation, Trainer
from recipe.training.trainer_state import restore, state_of


@attrs.define(eq=False)
class Loop:
    """A run in progress in its folder: what it trains, what it has reported so far, and when it saves."""

    trainer: Trainer
    prepared: Prepared
    folder: Path
    listener: Listener
    signals: Signals
    save_policy: SavePolicy
    early_end: EarlyEnd
    resume_options: Callable[[TimeLimit | None], tuple[str, ...]]
    """Return the options of the command that resumes this run, with a time limit."""
    epoch_evaluated: bool = True
    """Whether the epoch that ended with the last step has been evaluated."""
    resumed: bool = False
    """Whether a checkpoint has been restored."""
    recipe_changed: bool = False
    """Whether this run was started with another recipe."""
    meter: Meter = attrs.field(init=False)
    masks: frozenset[str] = attrs.field(init=False)
    """The buffers that are not finite from the start, such as the mask of an attention."""
    skipped: dict[tuple[str, int], str] = attrs.field(factory=dict)
    """Why images could not be decoded, by part (`training`, `evaluation` or `test`) and index in that part."""
    notes: list[str] = attrs.field(factory=list)
    saved: float = attrs.field(factory=time.monotonic)
    keeping: Keeping = attrs.field(init=False)
    evaluation: Evaluation | None = None
    """The last evaluation in this process."""
    _metrics: MetricsFile | None = None

    def __attrs_post_init__(self) -> None:
        self.keeping = Keeping(self.trainer)
        self.meter = Meter.on(self.trainer.device)
        buffers = self.prepared.program.model.named_buffers()
        self.masks = frozenset(name for name, value in buffers if not value.isfinite().all())

    def run(self) -> dict[str, Any]:
        """Train to the end and return the summary. After `Interrupted` or `Diverged`, the last checkpoint is intact."""
        trainer, ranks = self.trainer, self.trainer.ranks
        began, trained_for, first = time.monotonic(), 0.0, trainer.step
        with self.signals.deferred(), self._appending():
            self._choose_micro()
            settle(trainer)
            training = plural(len(trainer.sets.train.labels), "training image")
            self.listener.note(f"{training}, {len(trainer.sets.val.labels)} held out")
            self.listener.start(
                self.prepared.program, self.folder, trainer.step, trainer.total_steps, trainer.steps_per_epoch
            )
            self.keeping.repair(self.folder)
            if not self.epoch_evaluated:  # a signal came first
                if ranks.is_main:
                    repeat_last_step(self.listener, self.folder, trainer.step)
                self._evaluate()
                self.save()
            trainer.model.train()
            since = time.monotonic()
            for batch in () if self.keeping.over else trainer.batches():
                rate = trainer.train_step(batch, self.meter)
                if trainer.step == first + 1 and trainer.plan.training.compile_mode:
                    self.listener.note(f"compile: the first step took {time.monotonic() - since:.0f} s")
                self._count_skipped(batch)
                ends = trainer.step % trainer.steps_per_epoch == 0
                if trainer.step % self._log_every == 0 or ends:
                    trained_for += self._log(rate, since)
                    since = time.monotonic()
                if ends:
                    self.epoch_evaluated = False
                    self._evaluate()
                    self.early_end.evaluation, since = time.monotonic() - since, time.monotonic()
                asked = self.early_end.reason(self.folder, self._evaluations_left) if ranks.is_main else 0
                number, late, end = ranks.poll(self.signals.received, self.save_policy.late(self.saved), asked)
                over = self.keeping.over
                if number or late or end or over or self.save_policy.at(trainer.step, ends):
                    self.early_end.saving = self.save()
                    since += self.early_end.saving
                if number and not over:
                    raise self._interrupted(number)
                if end and not over:
                    trained_for += time.monotonic() - since
                    self._end_early(end, ends)
                if end or over:
                    break
            evaluation = self.evaluation or self._evaluate()  # resumed after its last step
            images = (trainer.step - first) / trainer.steps_per_epoch * len(trainer.sets.train.labels)
            return self._finish(evaluation, time.monotonic() - began, images / trained_for if trained_for else None)

    def _end_early(self, reason: int, evaluated: bool) -> None:
        """End the training after this step, and evaluate it unless that has just been done.

        What an uninterrupted run doesn't have is neither in the checkpoint nor kept by a run that resumes from it.
        """
        trainer = self.trainer
        note = announced(reason, trainer.step, trainer.total_steps)
        self.listener.note(note if evaluated else f"{note}; evaluating")
        if not evaluated:
            self._evaluate(early=True)
        self.notes.append(note)
        self.listener.note(how_to_resume(self.folder, self.resume_options(None)))

    @property
    def _evaluations_left(self) -> float:
        """How many evaluations of the held-out images take as long as those that follow an early end."""
        sets = self.trainer.sets
        test = 0.0 if sets.test is None else len(sets.test.labels) / len(sets.val.labels)
        return self.keeping.evaluations_left + test

    @property
    def _log_every(self) -> int:
        return 1 if self.trainer.device.type == "cpu" else 20

    def _choose_micro(self) -> None:
        trainer, training = self.trainer, self.trainer.plan.training
        if not training.micro_auto:
            return
        if trainer.micro is None:
            trainer.micro = min(trainer.ranks.gather(fitting_micro(trainer)))
        share = largest_share(trainer)
        part = "1 image fits" if trainer.micro == 1 else f"{trainer.micro} images fit"
        fits = "a whole batch fits" if trainer.micro >= share else f"{part} at a time"
        over = f"batch normalization averages over {plural(min(share, trainer.micro), 'image')}"
        note = f"{trainer.plan.maker('micro_auto')} auto: {fits}; {over}"
        if note not in self.notes:
            self.notes.append(note)
        self.listener.note(note)

    def _log(self, rate: float, since: float) -> float:
        """Record the means since the last line, which must be finite. Return the seconds since ``since``."""
        trainer = self.trainer
        self._finite()
        seen = self.meter.read(trainer.ranks)  # waits for the device
        seconds = time.monotonic() - since
        speed = self.meter.fresh / max(1e-9, seconds)
        self._record("train", **seen, lr=rate, images_per_second=speed)
        self.listener.step(trainer.step, seen["loss"], seen["top1"], rate, speed)
        self.meter = Meter.on(trainer.device)
        return seconds

    def _finite(self) -> None:
        """Raise `Diverged` if a step since the last check had a value that was not finite.

        Raises `RecipeError` (E080) instead if a trick made inputs or targets that are not finite.
        """
        if (found := self.trainer.diverged()) is None:
            return
        step, what = found
        cause = cause_of_step(self.trainer, step)
        if isinstance(cause, NotFiniteInput):
            raise cause
        raise self._diverged(f"training diverged at step {step + 1}: {what}", cause)

    def _diverged(self, message: str, cause: RecipeError | None = None) -> Diverged:
        """Return the error for a value that is not finite. ``cause`` is the error in the trick that made it."""
        saved = checkpoint.saved_in(self.folder / "checkpoints")
        kept = f"the last good checkpoint is {saved[-1]}" if saved else "no checkpoint was saved"
        if cause is None:
            return Diverged(Diagnostic("E112", message, help=f"{kept}; try a lower learning rate or a longer warmup"))
        (error,) = cause.diagnostics
        help = f"{kept}; fix the trick or remove it, or try a lower learning rate"
        return Diverged(Diagnostic("E112", f"{message}; {error.message}", error.span, help=help))

    def _evaluate(self, early: bool = False) -> Evaluation:
        """Evaluate and record the result. A signal in the meantime stops the evaluation and saves a checkpoint.

        ``early`` means that the training ends within an epoch.
        """
        trainer = self.trainer
        ends = early or self.keeping.over or trainer.ranks.broadcast(lambda: self.early_end.may_follow(self.folder))
        if early or not self.epoch_evaluated:
            renew(trainer, lambda: bool(self.signals.received))
        evaluation = trainer.evaluate(lambda: bool(self.signals.received), outputs=ends)
        if evaluation is None:
            self.save()
            raise self._interrupted(max(trainer.ranks.gather(self.signals.received)))
        result = evaluation.result
        loss = torch.tensor(result["loss"])
        if not loss.isfinite():  # the last update broke the weights, so don't save them
            message = f"training diverged at step {trainer.step}: the held-out loss is {float(loss)}"
            raise self._diverged(message, cause_of_average(trainer))
        self._tell_skipped("evaluation", evaluation.skipped)
        if early or not self.epoch_evaluated:  # otherwise reported before the run was killed at the end
            self._record("evaluation", **result)
        if not self.epoch_evaluated:
            self.listener.epoch(trainer.step // trainer.steps_per_epoch, result)
            if self.keeping.keeps_best:
                self._check_weights()  # before they replace better ones
            self.keeping.count(result, self.folder)
        self.epoch_evaluated, self.evaluation = True, evaluation
        return evaluation

    def _evaluate_again(self) -> Evaluation:
        """Evaluate the kept weights for the logits of each image. A signal stops the run, which can be resumed."""
        evaluation = self.trainer.evaluate(lambda: bool(self.signals.received), outputs=True)
        if evaluation is None:
            raise self._interrupted(max(self.trainer.ranks.gather(self.signals.received)))
        return evaluation

    def _interrupted(self, number: int) -> Interrupted:
        return Interrupted(number, self.folder, self.trainer.step, self.resume_options(self.early_end.limit))

    def _count_skipped(self, batch: Batch) -> None:
        """Report images that could not be decoded, each one once."""
        if not self.trainer.skips:
            return
        for skipped in self.trainer.ranks.gather(batch.skipped):
            self._tell_skipped("training", skipped)

    def _tell_skipped(self, part: str, skipped: Iterable[tuple[int, str]]) -> None:
        for index, why in skipped:
            if (part, index) not in self.skipped:
                self.skipped[part, index] = why
                if why not in self.prepared.named:
                    self.listener.note(f"skipped: {why}")
                self._record("skipped", part=part, image=index, why=why)

    def save(self) -> float:
        """Save a checkpoint for all processes, if the weights are finite. Return the seconds it took."""
        began, trainer, ranks = time.monotonic(), self.trainer, self.trainer.ranks
        self._finite()
        self._check_weights()
        meters = ranks.gather(self.meter.state())
        if ranks.is_main:
            exclusive.check(self.folder)
            if self._metrics is not None:
                self._metrics.sync()  # the lines of the saved steps
            state = attrs.evolve(
                state_of(trainer),
                meters=meters,
                epoch_evaluated=self.epoch_evaluated,
                skipped=[[part, index, why] for (part, index), why in self.skipped.items()],
                notes=self.notes,
                **self.keeping.state(),
            )
            trainer.runtime.save(self.folder / "checkpoints", state, self.save_policy.checkpoints)
        ranks.barrier()
        self.saved = time.monotonic()
        return self.saved - began

    def _check_weights(self) -> None:
        """Raise `Diverged` if a weight is not finite."""
        values = self.trainer.model.state_dict().items()
        broken = [name for name, value in values if name not in self.masks and not value.isfinite().all()]
        if broken:
            raise self._diverged(f"training diverged at step {self.trainer.step}: `{broken[0]}` is not finite")

    def restore(self, allow_changed: bool, data_changes: Sequence[str]) -> None:
        """Resume from the last sound checkpoint, or restart from scratch if there is none.

        ``data_changes`` are those since the run started. If there are any, an index may stand for another image.
        """
        trainer, ranks = self.trainer, self.trainer.ranks
        packed, unsound = ranks.broadcast(lambda: checkpoint.read(self.folder / "checkpoints"))
        for path in unsound:
            self.listener.note(f"a checkpoint can't be read and was renamed to {path}")
        damaged = ranks.broadcast(lambda: read_metrics(self.folder).damaged)
        if damaged:
            said = plural(damaged, "line")
            self.listener.note(f"{said} of {self.folder / 'metrics.jsonl'} can't be read and will be left out")
        if packed is None:
            ranks.broadcast(lambda: check_restart(self.folder, trainer.plan, data_changes))
            if self.folder.exists():
                why = "none of its checkpoints can be read" if unsound else "it has no checkpoint"
                self.listener.note(f"{self.folder} restarts from scratch: {why}")
                self.keeping.adopt(self.folder)
            return
        state = checkpoint.unpack(packed, trainer.device)
        changed = state.digest != trainer.identity
        edited = check_owner(state, trainer.identity, trainer.plan.uses, self.folder, allow_changed)
        try:
            notes = [*edited, *restore(trainer, state, changed)]
        except (RuntimeError, ValueError) as error:  # the shapes of its tensors or groups are others
            if is_out_of_memory(error):
                raise
            lines = [line.strip() for line in str(error).splitlines()]
            raise other_run(self.folder, f": {' '.join(lines[:2])}") from error
        notes += self.keeping.restore(state, self.folder, data_changes)
        self.epoch_evaluated = state.epoch_evaluated or changed
        self.skipped = {} if data_changes else {(part, index): why for part, index, why in state.skipped}
        self.notes = [*state.notes]
        if changed:
            self._tell_changes(state.step, notes)
        else:
            self.notes += notes
            for note in notes:
                self.listener.note(note)
        if trainer.step == state.step:
            self._restore_meter(state.meters)
        self.resumed, self.recipe_changed = True, changed

    def _tell_changes(self, step: int, more: list[str]) -> None:
        """Report and record what has changed. A run that is already over under the new recipe is refused (E113)."""
        trainer = self.trainer
        if self.keeping.over:
            over = "is already over under the changed recipe"
            message = f"the run in `{self.folder}` {over}: it has done {plural(step, 'step')}"
            help = f"train for more epochs, or {another_folder()}; nothing was changed"
            raise fail("E113", message, help=help)
        words = trainer.ranks.broadcast(lambda: changed_words(self.folder, trainer.plan))
        notes = [f"the recipe has changed from step {step} on{words}", *more]
        self.notes += notes
        for note in notes:
            self.listener.note(note)
        if trainer.ranks.is_main:
            with contextlib.suppress(OSError):
                before = files.read(self.folder / "recipe.lock", MAX_BYTES)
                files.write(self.folder / f"recipe-until-{step:09d}.lock", lambda file: file.write(before))

    def _restore_meter(self, meters: list[dict[str, Any]]) -> None:
        """Restore each process's own sums. If the number of processes has changed, the first one takes all of them."""
        ranks = self.trainer.ranks
        if len(meters) == ranks.world:
            self.meter.restore(meters[ranks.rank])
        elif ranks.is_main:
            self.meter.restore({name: sum(meter[name] for meter in meters) for name in meters[0]})

    @contextlib.contextmanager
    def _appending(self) -> Iterator[None]:
        """Keep the metrics file open, in the first process only."""
        if not self.trainer.ranks.is_main:
            yield
            return
        with MetricsFile(self.folder) as self._metrics:
            yield

    def _record(self, kind: str, **values: Any) -> None:
        if self._metrics is not None:
            trainer = self.trainer
            self._metrics.append({"kind": kind, "step": trainer.step, "epoch": trainer.progress().epoch, **values})

    def _test(self) -> Evaluation | None:
        """Evaluate the kept weights on the test images, if there are any, and record the result."""
        trainer, images = self.trainer, self.trainer.sets.test
        if images is None:
            return None
        self.listener.note(f"evaluating the kept weights on {plural(len(images.labels), 'test image')}")
        evaluation = trainer.evaluate(lambda: bool(self.signals.received), images=images)
        if evaluation is None:
            raise self._interrupted(max(trainer.ranks.gather(self.signals.received)))
        if not math.isfinite(evaluation.result["loss"]):
            raise self._diverged("the loss on the test images is not finite")
        self._tell_skipped("test", evaluation.skipped)
        self._record("test", **evaluation.result)
        return evaluation

    def _finish(self, evaluation: Evaluation, seconds: float, speed: float | None) -> dict[str, Any]:
        """Write the results of the run."""
        trainer, over = self.trainer, self.keeping.over
        trainer.ranks.broadcast(lambda: exclusive.check(self.folder))
        kept = self.keeping.finish(evaluation, self.folder, self._evaluate_again, self.listener.note)
        self.notes += [note for note in kept.notes if note not in self.notes]
        tested = self._test()
        skipped = [part for part, _ in self.skipped]
        summary = summarized(trainer, self.prepared.program, over, kept, tested, skipped, seconds, speed, self.notes)
        if trainer.ranks.is_main:
            if problem := trainer.runtime.draw(self.folder):
                self.listener.note(problem)
            exclusive.check(self.folder)
            write_sealed(self.folder / "summary.json", summary)
        trainer.ranks.barrier()
        return summary
