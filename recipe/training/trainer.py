"""A training, and how one step changes it: learning rate, parameter groups, average, evaluation."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import attrs
import torch
from torch import Tensor, fx, nn

from recipe.base.errors import RecipeError, fail
from recipe.compiler.features import features_of
from recipe.compiler.freezing import Freezing, Frozen, own_modes
from recipe.compiler.groups import set_rate
from recipe.compiler.program import Program
from recipe.data.images import Images, Sets
from recipe.data.views import averaged
from recipe.devices.distributed import Ranks
from recipe.devices.precision import Precision
from recipe.devices.sync_batchnorm import synchronised
from recipe.graph.features import with_features
from recipe.inference.batches import Batch, InOrder
from recipe.inference.layout import laid_out, memory_format
from recipe.plan.plan import Plan
from recipe.plugins.contexts import Teach
from recipe.plugins.field_contracts import ImageFields
from recipe.plugins.progress import Progress
from recipe.runs.held_out import HeldOut
from recipe.training.average import Average
from recipe.training.feeding import evaluated_images, image_fields, loaded, resolution, sized, training_images
from recipe.training.loading import Steps, share
from recipe.training.meters import Meter
from recipe.training.objective import Objective, class_weights, objective
from recipe.training.outputs import Outputs, Recalls, metrics_of, uneven
from recipe.training.runtime import Runtime, compiling, set_seed, step_seed
from recipe.training.tensors import restored
from recipe.training.transform import BatchTransform
from recipe.training.update import Update


@attrs.frozen
class Evaluation:
    """The result of an evaluation: means over the images, and the images that could not be decoded."""

    result: dict[str, Any]
    """`loss`, `top1`, `top5` with more than five classes, `balanced` if epochs are compared by it or classes are
    `uneven`, and `metrics`, those of tricks, if there are any."""
    skipped: tuple[tuple[int, str], ...]
    """Their indices among the held-out images, with the reasons."""
    outputs: HeldOut | None = None
    """The logits of each image, in the first process only, if they were asked for."""


@attrs.define(eq=False)
class Trainer:
    """The state of a run, and the pure functions that change it."""

    plan: Plan
    sets: Sets
    device: torch.device
    precision: Precision
    model: fx.GraphModule
    featured: nn.Module
    """The model, which also returns the outputs of layers that loss terms read, if there are any."""
    parallel: nn.Module
    """The same, compiled if requested, that shares gradients among processes."""
    freezing: Freezing
    update: Update
    average: Average | None
    prepare: BatchTransform
    loss_of: Objective
    weights: Tensor | None
    """The weight of each class in the cross entropy: (K,). None if all are alike."""
    reads: Mapping[str, Mapping[str, str]]
    """The layers whose outputs loss terms read. See `features_of`."""
    steps_per_epoch: int
    identity: str
    ranks: Ranks
    micro: int | None
    runtime: Runtime = attrs.field(factory=Runtime)
    step: int = 0

    @classmethod
    def make(
        cls,
        program: Program,
        sets: Sets,
        device: torch.device,
        chosen: Precision,
        teach: Teach,
        ranks: Ranks | None = None,
        runtime: Runtime | None = None,
    ) -> Trainer:
        runtime = runtime or Runtime()
        plan, training, ranks = program.plan, program.training, ranks or Ranks()
        model = copy.deepcopy(program.model).to(device=device, memory_format=memory_format(training))  # type: ignore[call-overload]
        averaging = plan.hooked("average")
        if training.synchronised and ranks.several:
            model = synchronised(model, device)
        averaged = copy.deepcopy(model) if averaging else None
        average = Average.of(averaged, model, averaging[0]) if averaged is not None else None
        freezing = program.freezing.of(model)
        if freezing.throughout.modules or freezing.changing:
            own_modes(model)
        for name in freezing.throughout.parameters:  # before the model is compiled and wrapped, which keep that
            model.get_parameter(name).requires_grad_(False)
        compiled = training.compile_mode is not None
        # Compile one graph per batch size, so that results do not depend on which size came first. With images that
        # grow, there would be too many graphs.
        dynamic = None if plan.hooked("resolution") else False
        reads = features_of(plan, model)
        addresses = {address for read in reads.values() for address in read.values()}
        featured = with_features(model, sorted(addresses)) if reads else model
        made = runtime.compile(featured, training.compile_mode, dynamic) if compiled else featured
        parallel = ranks.wrap(made)
        weights = class_weights(plan, sets.train.labels, program.classes, device)
        return cls(
            plan=plan,
            sets=sets,
            device=device,
            precision=chosen,
            model=model,
            featured=featured,
            parallel=parallel,
            freezing=freezing,
            update=Update.make(program, model, chosen, device),
            average=average,
            prepare=BatchTransform.of(plan, sets, program.classes, device),
            loss_of=objective(plan, teach, reads, weights),
            weights=weights,
            reads=reads,
            steps_per_epoch=training.steps(len(sets.train.labels)),
            identity=program.identity,
            ranks=ranks,
            micro=training.micro,
            runtime=runtime,
        )

    @property
    def eval_model(self) -> fx.GraphModule:
        """The model to evaluate and save: the average, if there is one."""
        return self.average.model if self.average else self.model

    def released(self) -> fx.GraphModule:
        """Return the model to evaluate, with gradients for all parameters that the run froze, for whoever uses it."""
        for name in self.freezing.throughout.parameters:
            self.model.get_parameter(name).requires_grad_(True)
        return self.eval_model.eval()

    @property
    def total_steps(self) -> int:
        return self.plan.training.epochs * self.steps_per_epoch

    def progress(self) -> Progress:
        return self.progress_at(self.step)

    def progress_at(self, step: int) -> Progress:
        training = self.plan.training
        return Progress(step, self.steps_per_epoch, training.epochs, training.warmup)

    def batches(self) -> Iterator[Batch]:
        """Yield this process's shares of the remaining batches, on its device."""
        yield from self.batches_of(range(self.step, self.total_steps))

    def batches_of(self, steps: Sequence[int]) -> Iterator[Batch]:
        """Yield this process's shares of the batches of some steps, on its device."""
        yield from self._loaded(self.training_images(), steps)

    def training_images(self) -> Steps:
        """Return this process's shares of all batches, by step."""
        return training_images(self.plan, self.sets, self.ranks)

    def _loaded(self, dataset: Steps | InOrder, numbers: Sequence[int]) -> Iterator[Batch]:
        return loaded(self.plan, dataset, numbers, self.device, self.runtime)

    def train_step(self, batch: Batch, meter: Meter) -> float:
        """Make one update from one batch, and return the learning rate used.

        The update is skipped if the loss or a gradient is not finite, which `diverged` reports.
        """
        training = self.plan.training
        progress = self.progress()
        rate = self.plan.learning_rate(progress)
        set_rate(self.update.optimizer, rate)
        inputs, targets = self.prepare(batch)
        inputs = laid_out(self.sized(inputs, progress), training)
        frozen = self.freezing.at(progress)
        with self.holding(frozen):
            seen = self._backward(inputs, targets, batch, meter, frozen.parameters)
            if (perturbations := self.update.perturbations(progress)) is not None:
                scaled = self.update.scaler.is_enabled()
                self.update.guard.look(self.step, seen, () if scaled else self.update.gradients)
                seen = self._backward_perturbed(perturbations, inputs, targets, batch, frozen.parameters)
        self.update.make_step(self.step, seen, progress)
        if not training.synchronised and self.ranks.several:  # each process has running statistics of its own share
            part = len(batch.indices) / batch.total if batch.counted and batch.total else 0.0
            still = {id(tensor) for layer in frozen.layers(self.model) for tensor in layer.buffers()}
            moved = (tensor for tensor in self.model.buffers() if id(tensor) not in still)
            self.ranks.average_((tensor for tensor in moved if tensor.is_floating_point()), part)
        if self.average:
            self.average.update(progress)
        self.step += 1
        return rate

    @contextlib.contextmanager
    def holding(self, frozen: Frozen) -> Iterator[None]:
        """A context for the forward and backward passes of a step in which something is frozen."""
        layers = [*frozen.layers(self.model)]
        for layer in layers:
            layer.training = False
        if self.freezing.changing:
            self._require_gradients_but(frozen.parameters)
        try:
            yield
        finally:
            for layer in layers:
                layer.training = True
            if self.freezing.changing:
                self._require_gradients_but(frozenset())

    def _require_gradients_but(self, frozen: frozenset[str]) -> None:
        """Compute no gradients for parameters that are frozen at a step. Does nothing with several processes, which
        wait for every gradient, or with `compile`, whose graph is fixed."""
        if self.ranks.several or self.plan.training.compile_mode is not None:
            return
        for name, weight in zip(self.update.names_by_group, self.update.weights, strict=True):
            weight.requires_grad_(name not in frozen)

    def sized(self, inputs: Tensor, progress: Progress) -> Tensor:
        """Resize inputs (N, 3, H, W) to the resolution that a trick chooses for a step."""
        return sized(self.plan, inputs, progress)

    def resolution(self, side: int, progress: Progress) -> int:
        """Return the side, in pixels, to which images of ``side`` are resized for training at a step."""
        return resolution(self.plan, side, progress)

    def _backward_perturbed(
        self, steps: list[Tensor], inputs: Tensor, targets: Tensor, batch: Batch, frozen: frozenset[str]
    ) -> Tensor:
        """Compute the gradients at perturbed weights, then restore the weights and buffers bit for bit."""
        moved = [weight for weight in self.update.weights if weight.grad is not None]
        with restored(lambda: [*(weight.detach() for weight in moved), *self.model.buffers()]):
            torch._foreach_add_([weight.detach() for weight in moved], steps)
            self.update.forget_gradients()
            return self._backward(inputs, targets, batch, None, frozen)

    def _backward(
        self, inputs: Tensor, targets: Tensor, batch: Batch, meter: Meter | None, frozen: frozenset[str]
    ) -> Tensor:
        """Compute the gradients of a batch by micro-batches, and return the sum of their losses."""
        # For dropout and the like.
        set_seed(step_seed(self.plan.training.seed, self.step, self.ranks.rank), self.device)
        seen: Tensor | None = None
        # Gradients are averaged over processes, so each process computes its share of the whole batch's mean.
        weight = self.ranks.world / (batch.total or len(inputs)) if batch.counted else 0.0
        cut = self.runtime.parts(inputs, targets, self.micro, self.even(batch.total))
        for place, (x, y) in enumerate(cut, 1):
            with self.ranks.accumulating(self.parallel, more=place < len(cut)):
                try:
                    with compiling(), self.precision.autocast():
                        outputs = self.parallel(x)
                except ValueError as error:  # batch normalization of a single value
                    help = "use larger batches or larger images"
                    raise fail("E103", f"the model can't train on a batch of {len(x)}: {error}", help=help) from error
                loss, logits = self.loss_of(outputs, y, x, self.progress())
                part = len(x) * weight
                own = loss if part == 1.0 else loss * part
                with compiling():
                    self.update.scaler.scale(self.update.nan_if_broken(own)).backward()  # type: ignore[no-untyped-call]
            if batch.counted and meter is not None:
                meter.add(loss, logits, y)
            seen = loss.detach() if seen is None else seen + loss.detach()
        if frozen:
            for name, parameter in zip(self.update.names_by_group, self.update.weights, strict=True):
                if name in frozen:
                    parameter.grad = None
        assert seen is not None
        return seen

    def even(self, total: int) -> int | None:
        """Return how many micro-batches each process splits its share into, if all must take the same steps."""
        if not (self.plan.training.synchronised and self.ranks.several and self.micro):
            return None
        shares = (share(total, rank, self.ranks.world) for rank in range(self.ranks.world))
        sizes = [part.stop - part.start or 2 for part in shares]
        return min(-(-max(sizes) // self.micro), *sizes)

    def diverged(self) -> tuple[int, str] | None:
        """Return the first step (from 0) with a value that was not finite, and which one, or None if all were."""
        mine = self.update.guard.read(self.update.names_by_group)
        return min((cause for cause in self.ranks.gather(mine) if cause is not None), default=None)

    @torch.no_grad()
    def logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the evaluated model's logits (N, K) for a batch of held-out images, and their class indices (N,)."""
        inputs, labels = self.prepare.plain(batch)
        training = self.plan.training
        with self.precision.autocast():
            inputs = laid_out(inputs, training)
            return averaged(self.eval_model, inputs, training.evaluation_views or "single"), labels

    @torch.no_grad()
    def evaluate(
        self, stop: Callable[[], bool] = lambda: False, outputs: bool = False, images: Images | None = None
    ) -> Evaluation | None:
        """Return the mean loss and accuracy over all readable images, the held-out ones by default, or None if stopped.

        With ``outputs``, also return the logits of each image.
        """
        self.eval_model.eval()
        images = self.sets.val if images is None else images
        batches = evaluated_images(self.plan, images, self.micro)
        mine = range(self.ranks.rank, len(batches), self.ranks.world)
        meter, stopped = Meter.on(self.device, top5=self.sets.classes > 5), False
        skipped: list[tuple[int, str]] = []
        measured = bool(self.plan.hooked("metrics"))
        kept = Outputs() if outputs or measured else None
        balanced = self.plan.training.keep_by == "balanced" or uneven(images.labels)
        recalls = Recalls.on(self.device, self.sets.classes) if balanced else None
        for part in self._loaded(batches, mine):
            skipped += part.skipped
            stopped = stop()
            if stopped:
                break
            if not part.counted:
                continue
            logits, labels = self.logits(part)
            meter.add(nn.functional.cross_entropy(logits, labels), logits, labels)
            if kept is not None:
                kept.add(part, logits, labels)
            if recalls is not None:
                recalls.add(logits, labels)
        self.model.train()
        gathered = self.ranks.gather((stopped, skipped))
        result: dict[str, Any] = meter.read(self.ranks)
        if any(stopped for stopped, _ in gathered):
            return None
        if not meter.fresh:
            raise nothing_to_evaluate()
        if recalls is not None:
            result["balanced"] = recalls.balanced(self.ranks)
        found = kept.gathered(self.plan, images, self.ranks) if kept is not None else None
        if measured:
            result["metrics"] = self.ranks.broadcast(lambda: metrics_of(self.plan, cast(HeldOut, found)))
        return Evaluation(result, tuple(image for _, skipped in gathered for image in skipped), found)

    @property
    def skips(self) -> bool:
        """Whether images that can't be decoded are skipped."""
        return self.images.skips

    @property
    def images(self) -> ImageFields:
        """The fields of the trick that opens the images."""
        return image_fields(self.plan)


def nothing_to_evaluate() -> RecipeError:
    """Return the error for held-out images of which none can be decoded."""
    return fail("E070", "no held-out image can be read, so there is nothing to evaluate")
