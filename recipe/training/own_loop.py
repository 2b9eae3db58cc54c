"""What a training loop of one's own takes from a program: its batches, its loss, and the seed of each step."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import attrs
import torch
from torch import Tensor

from recipe.base.closing import closed_at_exit
from recipe.base.errors import fail
from recipe.base.public import undisturbed
from recipe.base.wording import plural
from recipe.compiler.program import Program
from recipe.data.images import Files, InMemory, Sets, one_view
from recipe.devices.choice import pick
from recipe.devices.distributed import Ranks
from recipe.inference.batches import Batch, InOrder
from recipe.inference.layout import laid_out
from recipe.plan.plan import Plan
from recipe.plugins.progress import Progress
from recipe.training.feeding import evaluated_images, loaded, training_images, training_inputs
from recipe.training.loading import Steps
from recipe.training.objective import class_weights, objective
from recipe.training.runtime import Runtime, step_seed
from recipe.training.setup import prepare
from recipe.training.teachers import named_teachers
from recipe.training.transform import BatchTransform

T = TypeVar("T")

HOOKS = ("frozen", "perturb", "adjust", "average", "metrics", "stop")
"""The hooks that a run calls outside of what `Batches` and `Program` offer."""

SETTINGS = (
    "micro",
    "micro_auto",
    "synchronised",
    "statistics_images",
    "precision",
    "compile_mode",
    "keep_by",
    "evaluation_views",
)
"""The settings that a run follows outside of what `Batches` and `Program` offer, unless they have their defaults."""


@attrs.frozen(eq=False)
class TrainingBatch:
    """One training batch of a program, after the crops, augmentations and mixing of its tricks."""

    images: Tensor
    """The inputs of the model: float32 (N, 3, H, W), normalized."""
    targets: Tensor
    """Class indices (N,), or distributions (N, K) if tricks smooth or mix them."""
    step: int
    """The index of the batch, counted from 0 since the start of the training."""
    epoch: int
    """The index of its epoch, counted from 0."""
    seed: int
    """The seed of torch's random numbers in this step, such as those of dropout: `torch.manual_seed`."""


@attrs.frozen(eq=False)
class Batches:
    """The batches and the loss of a program, for a training loop of one's own."""

    program: Program
    """The program that fits the images."""
    sets: Sets
    """The images for training and evaluation, and the names of their classes."""
    device: torch.device
    """The device of the batches."""
    not_included: tuple[str, ...]
    """The words of the recipe's tricks that act elsewhere in a training, and that a loop of one's own leaves out: those
    that change gradients, average weights, choose the precision or end the training, for example."""
    _transform: BatchTransform = attrs.field(repr=False)
    _loss: Any = attrs.field(repr=False)

    def __repr__(self) -> str:
        images = f"{plural(len(self.sets.train.labels), 'training image')}, {len(self.sets.val.labels)} held out"
        return f"Batches({images}; {plural(self.steps, 'step')} of {self.program.training.batch} on {self.device})"

    @property
    def steps_per_epoch(self) -> int:
        """The number of training batches in each epoch."""
        return self.program.training.steps(len(self.sets.train.labels))

    @property
    def steps(self) -> int:
        """The number of training batches in all epochs."""
        return self.program.training.epochs * self.steps_per_epoch

    def training(self, first: int = 0, last: int | None = None) -> Iterator[TrainingBatch]:
        """Yield the training batches from step ``first`` up to, but not including, step ``last``, or to the end.

        Each one depends only on the recipe and the step, so a loop can resume at any step. Raises `RecipeError` if an
        image can't be read, and `ValueError` if there are no such steps.
        """
        if type(first) is not int or not 0 <= first <= self.steps:
            raise ValueError(f"`first` must be a step from 0 to {self.steps}, not {first!r:.60}")
        if last is not None and (type(last) is not int or last < first):
            raise ValueError(f"`last` must be a step of at least {first}, not {last!r:.60}")
        images = training_images(self.program.plan, self.sets, Ranks())
        yield from self._each(images, range(first, self.steps if last is None else min(last, self.steps)), self._made)

    def evaluation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs (N, 3, H, W) and class indices (N,) of all held-out images, in order.

        Raises `RecipeError` if an image can't be read.
        """
        plan = self.program.plan
        images = evaluated_images(plan, self.sets.val, plan.training.micro)
        for inputs, labels in self._each(images, range(len(images)), self._plain):
            if len(labels):  # otherwise, none of its images can be decoded
                yield inputs, labels

    def loss(self, outputs: Any, batch: TrainingBatch) -> Tensor:
        """Return the loss of a batch, one number: the recipe's loss, with all terms that tricks add.

        ``outputs`` are those of the model for ``batch.images``: logits (N, K), or a tuple of them and those of
        auxiliary heads. Raises `TypeError` or `ValueError` for anything else.
        """
        if not isinstance(batch, TrainingBatch):
            raise TypeError(f"`batch` must be a batch of `training`, not {type(batch).__name__}")
        wanted = (len(batch.images), self.program.classes)
        for logits in outputs if isinstance(outputs, tuple) else (outputs,):
            if not isinstance(logits, Tensor):
                raise TypeError(f"`outputs` must be logits, or a tuple of them, not {type(logits).__name__}")
            if logits.shape != wanted:
                raise ValueError(f"`outputs` must be logits of the shape {wanted}, not {(*logits.shape,)}")
        loss: Tensor = self._loss(outputs, batch.targets, batch.images, self._progress(batch.step))[0]
        return loss

    def _each(self, images: Steps | InOrder, numbers: range, make: Callable[[Batch], T]) -> Iterator[T]:
        """Load batches by index, and yield what ``make`` returns for each. The caller's modes of torch don't matter.

        What the caller doesn't take is not loaded, also if Python exits before.
        """
        return closed_at_exit(self._made_by(make, images, numbers))

    def _made_by(self, make: Callable[[Batch], T], images: Steps | InOrder, numbers: range) -> Generator[T]:
        batches = loaded(self.program.plan, images, numbers, self.device, Runtime())
        while True:
            with undisturbed():
                batch = next(batches, None)
                made = None if batch is None else make(batch)
            if made is None:
                return
            yield made

    def _plain(self, batch: Batch) -> tuple[Tensor, Tensor]:
        inputs, labels = self._transform.plain(batch)
        return laid_out(inputs, self.program.training), labels

    def _progress(self, step: int) -> Progress:
        training = self.program.training
        return Progress(step, self.steps_per_epoch, training.epochs, training.warmup)

    def _made(self, batch: Batch) -> TrainingBatch:
        inputs, targets = training_inputs(self.program.plan, self._transform, batch, self._progress(batch.step))
        seed = step_seed(self.program.training.seed, batch.step, 0)
        return TrainingBatch(inputs, targets, batch.step, batch.epoch, seed)


def open_batches(program: Program, device: str | None) -> Batches:
    """Open the images of a program. Raises `RecipeError` (E131) if it has no dataset, or a loss that needs more."""
    plan = program.plan
    if plan.images is None:
        help = "name one, such as `data digits`, in `recipe.compile`"
        raise fail("E131", "the program has no images: its recipe names no dataset", help=help)
    if teachers := named_teachers(plan):
        use = teachers[0].use
        message = f"`{use.word}` needs the trained teacher `{teachers[0].name}`, which only a run opens or trains"
        raise fail("E131", message, use.span, help="train it with `recipe.run`, or drop it and use your own teacher")
    if reads := plan.hooked("features"):
        message = f"`{reads[0].word}` reads the outputs of layers, which only a run collects"
        raise fail("E131", message, reads[0].span, help="train it with `recipe.run`, or drop it")
    chosen = pick(device)
    sets, fitting = prepare(plan, program)
    if isinstance(sets.val, (Files, InMemory)):
        sets = attrs.evolve(sets, val=one_view(sets.val))
    transform = BatchTransform.of(plan, sets, fitting.classes, chosen)
    weights = class_weights(plan, sets.train.labels, fitting.classes, chosen)
    loss = objective(plan, {}, weights=weights)
    return Batches(fitting, sets, chosen, _elsewhere(plan), transform, loss)


def _elsewhere(plan: Plan) -> tuple[str, ...]:
    """Return the words of the tricks that act outside of the batches, the loss, the rates and the optimizer."""
    hooked = [use.word for hook in HOOKS for use in plan.hooked(hook)]
    default = type(plan.training)()
    changed = [name for name in SETTINGS if getattr(plan.training, name) != getattr(default, name)]
    return tuple(dict.fromkeys([*hooked, *(use.word for name in changed for use in plan.makers[name])]))
