"""What a training holds and how one step changes it: learning rate, parameter groups, meters, averages, evaluation."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor, fx, nn

from recipe.compiler import Program
from recipe.devices import Precision
from recipe.diagnostics import fail
from recipe.images import Sets, evaluation_loader
from recipe.objective import Preparation, Teach, ask, objective
from recipe.plan import Plan
from recipe.training import Progress


def learning_rate(plan: Plan, progress: Progress) -> float:
    """The learning rate at a step: the base rate times the factor of every trick that has one."""
    if plan.training.rate_per_epoch and progress.epoch >= progress.warmup:
        # Inside the warmup the rate rises with each batch all the same; after it, it holds for a whole epoch.
        risen = math.ceil(progress.warmup * progress.steps_per_epoch)
        begun = int(progress.epoch) * progress.steps_per_epoch
        progress = attrs.evolve(progress, step=max(begun, risen))
    return math.prod((ask(trick, "factor", progress) for trick in plan.hooked("factor")), start=plan.training.rate)


def parameter_groups(plan: Plan, model: nn.Module) -> list[dict[str, Any]]:
    """The parameters, grouped by the options that tricks give them. Each group names its parameters in ``names``."""
    groups: dict[tuple[tuple[str, Any], ...], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        owner = model.get_submodule(name.rpartition(".")[0])
        options: dict[str, Any] = {"weight_decay": plan.training.weight_decay}
        for trick in plan.hooked("group"):
            options |= ask(trick, "group", name, parameter, owner)
        key = tuple(sorted(options.items()))
        group = groups.setdefault(key, {"params": [], "names": [], **options})
        group["params"].append(parameter)
        group["names"].append(name)
    if not groups:
        raise fail("E102", "the model has no parameter that trains: all are frozen")
    return list(groups.values())


@attrs.define
class Meter:
    """Sums that stay on the device until they are read."""

    loss: Tensor
    correct: Tensor
    images: int = 0

    @classmethod
    def on(cls, device: torch.device) -> Meter:
        return cls(torch.zeros((), device=device), torch.zeros((), device=device, dtype=torch.long))

    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Count a part of a batch: its mean loss, logits (N, K), and targets as class numbers or distributions."""
        labels = targets.argmax(1) if targets.ndim == 2 else targets
        self.loss += loss.detach() * len(logits)
        self.correct += (logits.detach().argmax(1) == labels).sum()
        self.images += len(logits)

    def read(self) -> dict[str, float]:
        return {"loss": float(self.loss) / self.images, "top1": int(self.correct) / self.images}


@attrs.define(eq=False)
class Average:
    """The moving average of the weights; buffers are those of the model."""

    model: fx.GraphModule
    decay: float

    @torch.no_grad()
    def update(self, model: nn.Module, updates: int) -> None:
        decay = min(self.decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - decay)
        for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)


@attrs.define(eq=False)
class Trainer:
    """All that a training holds: its state, and the pure functions that change it."""

    plan: Plan
    sets: Sets
    device: torch.device
    precision: Precision
    model: fx.GraphModule
    forward: Callable[[Tensor], Any]
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: Average | None
    prepare: Preparation
    loss_of: Callable[[Any, Tensor, Tensor], tuple[Tensor, Tensor]]
    steps_per_epoch: int
    identity: str
    step: int = 0

    @classmethod
    def make(cls, program: Program, sets: Sets, device: torch.device, chosen: Precision, teach: Teach) -> Trainer:
        plan, training = program.plan, program.training
        layout = torch.channels_last if training.channels_last else torch.contiguous_format
        model = copy.deepcopy(program.model).to(device=device, memory_format=layout)  # type: ignore[call-overload]
        forward: Callable[[Tensor], Any] = model
        if training.compile_mode is not None:
            forward = _compiled(model, training.compile_mode)
        optimizer = ask(plan.hooked("optimize")[0], "optimize", parameter_groups(plan, model), training.rate)
        scaler = torch.amp.GradScaler(device.type, enabled=chosen.scaled)
        average = None
        if training.average_decay is not None:
            average = Average(copy.deepcopy(model), training.average_decay)
        prepare = Preparation.of(plan, sets, program.classes, device)
        steps = training.steps(len(sets.train.labels))
        return cls(
            plan,
            sets,
            device,
            chosen,
            model,
            forward,
            optimizer,
            scaler,
            average,
            prepare,
            objective(plan, teach),
            steps,
            program.identity,
        )

    @property
    def evaluated(self) -> fx.GraphModule:
        """The model that is evaluated and kept: the average where there is one."""
        return self.average.model if self.average else self.model

    @property
    def total_steps(self) -> int:
        return self.plan.training.epochs * self.steps_per_epoch

    def progress(self) -> Progress:
        training = self.plan.training
        return Progress(self.step, self.steps_per_epoch, training.epochs, training.warmup)

    def state(self) -> dict[str, Any]:
        """All that a training needs to go on, bit by bit."""
        return {
            "digest": self.identity,
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.model.state_dict() if self.average else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:  # none of a run that began where fp16 is substituted
            self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.model.load_state_dict(state["average"])

    def train_step(self, batch: Any, meter: Meter) -> float:
        """One update from one batch; gives the learning rate it used."""
        training = self.plan.training
        rate = learning_rate(self.plan, self.progress())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(_step_seed(training.seed, self.step))  # for dropout and the like
        inputs, targets = self.prepare(batch)
        if training.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        for x, y in parts(inputs, targets, training.micro):
            try:
                with self.precision.autocast():
                    outputs = self.forward(x)
            except ValueError as error:  # batch normalisation of a single value
                help = "take larger batches or larger images"
                raise fail("E103", f"the model can't train on a batch of {len(x)}: {error}", help=help) from error
            loss, logits = self.loss_of(outputs, y, x)
            self.scaler.scale(loss * (len(x) / len(inputs))).backward()  # type: ignore[no-untyped-call]
            meter.add(loss, logits, y)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update(self.model, self.step)
        self.step += 1
        return rate

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Mean loss and accuracy over every test image."""
        model = self.evaluated.eval()
        training, data = self.plan.training, self.plan.use("data")
        batch = min(training.micro or training.batch, 256)
        workers = data.trick.workers if data else 0  # type: ignore[attr-defined]
        meter, top5 = Meter.on(self.device), torch.zeros((), device=self.device, dtype=torch.long)
        for part in evaluation_loader(self.sets.test, batch, workers, self.device.type == "cuda"):
            inputs, labels = self.prepare.plain(part)
            if training.channels_last:
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            with self.precision.autocast():
                logits = model(inputs).float()
            meter.add(nn.functional.cross_entropy(logits, labels), logits, labels)
            if self.sets.classes > 5:
                top5 += (logits.topk(5).indices == labels[:, None]).sum()
        self.model.train()
        extra = {"top5": int(top5) / meter.images} if self.sets.classes > 5 else {}
        return {**meter.read(), **extra}


def _compiled(model: nn.Module, mode: str) -> Callable[[Tensor], Any]:
    """The model compiled by torch, which happens when it is first called."""
    compiled = torch.compile(model, mode=mode)

    def forward(inputs: Tensor) -> Any:
        try:
            return compiled(inputs)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = str(error).strip().split("\n")[0]
            help = "`compile` needs a C++ compiler on a CPU; `drop compile` trains without it"
            raise fail("E114", f"torch.compile failed: {reason}", help=help) from error

    return forward


def _step_seed(seed: int, step: int) -> int:
    return int.from_bytes(hashlib.sha256(f"step/{seed}/{step}".encode()).digest()[:7], "big")


def parts(inputs: Tensor, targets: Tensor, micro: int | None) -> list[tuple[Tensor, Tensor]]:
    """A batch cut into micro batches; a last one of a single image joins the one before it."""
    if micro is None or len(inputs) <= micro:
        return [(inputs, targets)]
    sizes = [micro] * (len(inputs) // micro)
    rest = len(inputs) - sum(sizes)
    if rest == 1:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return list(zip(torch.split(inputs, sizes), torch.split(targets, sizes), strict=True))
