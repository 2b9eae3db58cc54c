"""Warnings about words of a recipe that change nothing in the training at hand, whatever their tricks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import attrs
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from recipe.base.diagnostics import Diagnostic
from recipe.base.errors import RecipeError
from recipe.base.wording import plural
from recipe.compiler.freezing import frozen_by
from recipe.compiler.groups import decay_without_effect, options_without_effect
from recipe.compiler.program import Program
from recipe.compiler.summary_text import shown_target
from recipe.graph.calls import has_aux_heads
from recipe.graph.edits import Initialise
from recipe.graph.net import Net
from recipe.plan.plan import Plan
from recipe.plugins.calling import call_hook
from recipe.plugins.during import ALWAYS
from recipe.plugins.kinds import Numbers
from recipe.plugins.progress import Progress
from recipe.plugins.settings import Training
from recipe.plugins.slots import BATCH_SIZE, LAYERS
from recipe.plugins.uses import Use

BATCH, RATE = attrs.fields(Training).batch.name, attrs.fields(Training).rate.name
"""The settings of the number of images per update and of the base learning rate."""

MOST_STEPS = 2000
"""The largest number of steps to look at, evenly spaced, with the first and the last."""


def in_model(program: Program) -> Iterator[Diagnostic]:
    """Warn about words without effect on the model, its parameter groups and its loss."""
    yield from decay_without_effect(program.plan, program.groups)
    frozen = program.freezing.throughout.parameters
    yield from options_without_effect(program.plan, program.structure, program.depths, frozen)
    yield from _aux_weight(program)
    yield from _statistics(program)
    yield from _left_out(program)
    yield from _frozen_anyway(program)
    with contextlib.suppress(RecipeError):  # training reports a hook that fails
        yield from _targets(program)


def in_training(program: Program, images: int) -> Iterator[Diagnostic]:
    """Warn about words without effect in a training on a number of images."""
    plan = program.plan
    yield from _batch(plan, images)
    steps = _Steps(plan, plan.training.steps(images))
    for use in plan.uses:
        if use.stated:
            yield from _span(use, steps)
            yield from _rates(use, steps)
            with contextlib.suppress(RecipeError):  # it may look at weights, which do not exist yet
                yield from _frozen(use, steps, program)
            yield from _resolution(use, steps, program.costs.size)


def in_processes(program: Program, processes: int) -> Iterator[Diagnostic]:
    """Warn about words without effect in a training in a number of processes."""
    if program.training.synchronised and processes == 1:
        for use in program.plan.makers["synchronised"]:
            yield _unused(use, "there is only one process")


def _unused(use: Use, why: str) -> Diagnostic:
    return Diagnostic("W001", f"`{use.word}` has no effect: {why}", use.span)


@attrs.frozen
class _Steps:
    """The steps of a training, or some of them if there are many."""

    plan: Plan
    per_epoch: int

    def __iter__(self) -> Iterator[Progress]:
        """Yield the last step first, because it tells most schedules from nothing, then the others."""
        training = self.plan.training
        last = training.epochs * self.per_epoch - 1
        count = min(last + 1, MOST_STEPS)
        for index in (count - 1, *range(count - 1)):
            step = index * last // max(1, count - 1)
            yield Progress(step, self.per_epoch, training.epochs, training.warmup)

    @property
    def where(self) -> str:
        few = self.plan.training.epochs * self.per_epoch <= MOST_STEPS
        return "at any step" if few else f"at any of {MOST_STEPS:,} evenly spaced steps"


def _batch(plan: Plan, images: int) -> Iterator[Diagnostic]:
    """Warn if a batch has more images than there are, unless nothing that is stated depends on its size."""
    training, makers = plan.training, plan.makers.get(BATCH, ())
    scaling = [use for use in plan.makers.get(RATE, ()) if BATCH_SIZE in use.declared.reads and use.stated]
    span = next((use.span for use in (*makers, *scaling) if use.stated), None)
    if training.batch <= images or span is None:
        return
    message = f"there are only {images} training images, so each update uses {images} images, not {training.batch}"
    if scaling:
        message += f", but `{scaling[0].word}` sets the learning rate of {training.rate:g} for {training.batch}"
    yield Diagnostic("W001", message, span)


def _span(use: Use, steps: _Steps) -> Iterator[Diagnostic]:
    """Warn about a span without any step. If it is outside of the training, the plan already has a warning."""
    epochs, during = steps.plan.training.epochs, use.during
    begin, end = (0.0 if moment is None else moment.epoch(epochs) for moment in (during.from_, during.until))
    within = begin < epochs and (during.until is None or begin < end)
    if within and not during.steps(steps.per_epoch, epochs):
        total = epochs * steps.per_epoch
        yield _unused(use, f"its span `{during}` has none of the {plural(total, 'step', form=',')} of the training")


def _rates(use: Use, steps: _Steps) -> Iterator[Diagnostic]:
    """Warn about a schedule whose factor is always 1, and about each of several values that changes no factor."""
    if not use.trick.overrides("lr_factor"):
        return

    def factor(of: Use, progress: Progress) -> float:
        return call_hook(of, "lr_factor", steps.plan.in_force(progress))  # type: ignore[no-any-return]

    if all(factor(use, progress) == 1.0 for progress in steps):
        yield _unused(use, f"it does not change the learning rate {steps.where}")
        return
    for field in (field for field in use.declared.fields if isinstance(field.kind, Numbers)):
        values: Sequence[float] = getattr(use.trick, field.name) or ()
        for value in values if len(values) > 1 else ():
            rest = tuple(other for other in values if other != value)
            without = attrs.evolve(use, trick=type(use.trick)(**use.values | {field.name: rest}))
            if all(factor(use, progress) == factor(without, progress) for progress in steps):
                message = f"{value:g} of `{use.word}` has no effect: it does not change the learning rate {steps.where}"
                yield Diagnostic("W001", message, use.place(field.name))


def _frozen(use: Use, steps: _Steps, program: Program) -> Iterator[Diagnostic]:
    if not use.trick.overrides("frozen"):
        return
    net, acting = Net(program.structure), [progress for progress in steps if use.during.holds(progress)]
    if acting and not any([*call_hook(use, "frozen", net, progress)] for progress in acting):
        yield _unused(use, f"it freezes no parameter {steps.where}{' of its span' * bool(use.during)}")
        return
    each = dict(program.freezing.each)
    if acting and each.get(use) is None:
        for other, same in each.items():
            if (
                same is not None
                and not other.during
                and all(same.covers(frozen_by(use, net, progress)) for progress in acting)
            ):
                yield _unused(use, f"`{other.word}` freezes all of that already")
                return


def _frozen_anyway(program: Program) -> Iterator[Diagnostic]:
    """Warn about tricks that always freeze the same part of the model, all of which another one freezes."""
    each = [(use, same) for use, same in program.freezing.each if same is not None]
    for index, (use, same) in enumerate(each):
        for at, (other, more) in enumerate(each):
            longer = other.during in (ALWAYS, use.during)
            alike = same.covers(more) and other.during == use.during  # then the first one is enough
            if at != index and use.stated and longer and more.covers(same) and not (alike and index < at):
                yield _unused(use, f"`{other.word}` freezes all of that already")
                break


def _resolution(use: Use, steps: _Steps, side: int) -> Iterator[Diagnostic]:
    hooked = use.trick.overrides("resolution")
    if hooked and all(call_hook(use, "resolution", side, progress) == side for progress in steps):
        yield _unused(use, f"it does not change the size of images {steps.where}")


def _aux_weight(program: Program) -> Iterator[Diagnostic]:
    """Warn about a stated weight of auxiliary heads if the model has none. A lock states the default one too."""
    if has_aux_heads(program.structure):
        return
    for use in program.plan.makers.get("aux_weight", ()):
        if any(use.values[field.name] != field.default for field in use.declared.fields):
            yield _unused(use, f"`{program.plan.model}` has no auxiliary heads")


def _statistics(program: Program) -> Iterator[Diagnostic]:
    """Warn about statistics of batch normalization that are stated for a model without any."""
    if not any(isinstance(module, _BatchNorm) for module in program.structure.modules()):
        for use in program.plan.makers.get("statistics_images", ()):
            if use.stated:
                yield _unused(use, "the model has no batch normalization")


def _left_out(program: Program) -> Iterator[Diagnostic]:
    """Warn about weights of layers that an initialization leaves out, because they are computed from other tensors."""
    plan, net = program.plan, Net(program.structure)
    for step in program.steps:
        use = plan.find(step.word)
        filled = {edit.parameter.rpartition(".")[0] for edit in step.edits if isinstance(edit, Initialise)}
        if use is None or not filled or LAYERS not in use.declared.writes:
            continue
        for address, _, module in net.layers():
            own = dict(module.named_parameters(recurse=False))
            computed = "weight" not in own and isinstance(getattr(module, "weight", None), Tensor)
            if computed and (address in filled or use.stated):
                message = f"`{use.word}` leaves out `{address}.weight`, which is computed from other parameters"
                yield Diagnostic("W001", message, use.span)


def _targets(program: Program) -> Iterator[Diagnostic]:
    """Warn about a loss that is the same whatever the classes of the images, and smoothing that it undoes.

    With spans, they need not act at the same time, so nothing is reported.
    """
    plan, classes = program.plan, program.classes
    losses, smooths = plan.hooked("loss"), plan.hooked("smooth_targets")
    if classes < 2 or not (losses or smooths) or any(use.during for use in (*losses, *smooths)):
        return
    cross_entropy = nn.functional.cross_entropy
    logits = torch.randn(4, classes, generator=torch.Generator().manual_seed(0))

    def softened(labels: Sequence[int], without: Use | None = None) -> Tensor:
        targets = nn.functional.one_hot(torch.tensor(labels), classes).float()
        for use in smooths:
            targets = targets if use is without else call_hook(use, "smooth_targets", targets)
        return targets

    def loss_of(targets: Tensor) -> float:
        return float(call_hook(losses[0], "loss", logits, targets) if losses else cross_entropy(logits, targets))

    targets = softened([0, 1, 0, 1])
    seen = loss_of(targets)
    if losses and seen == loss_of(softened([1, 0, 1, 0])):
        why = f"it is the same for every class, with targets of {shown_target((*targets[0, :2].tolist(),))}"
        yield Diagnostic("W001", f"`{losses[0].word}` ignores the labels: {why}", losses[0].span)
        return
    if plan.hooked("mix") or plan.hooked("loss_term"):  # they may tell the targets apart
        return
    for use in smooths:
        if use.stated and seen == loss_of(softened([0, 1, 0, 1], without=use)):
            yield _unused(use, "the loss is the same without it")
